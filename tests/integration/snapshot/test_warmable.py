"""An instance that has served is kept as the snapshot of later starts, if its state is warmable."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bentofn.adapters.local import daemon
from bentofn.packager.snapshot.snapshot import Snapshot
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.snapshot.verification import verify

pytestmark = pytest.mark.usefixtures("criu")

KEPT = "kept an instance that had served"

SERVICE = """
import random
import bentofn

@bentofn.service(snapshot={{"warmable": {warmable}}})
class Service:
    def __init__(self) -> None:
        self.cache: dict[str, bytes] = {{}}
        self.file = None
        self.hooks: list[str] = []

    @bentofn.before_snapshot
    def before(self) -> None:
        self.hooks.append("before")
        {before}

    @bentofn.after_restore
    def after(self) -> None:
        self.hooks.append("after")
        {after}

    @bentofn.api(examples=[{{"text": "example"}}])
    def say(self, text: str) -> dict:
        known = sorted(self.cache)
        self.cache[text] = text.encode() * 300_000
        return {{
            "known": known,
            "whole": all(value == key.encode() * 300_000 for key, value in self.cache.items()),
            "random": random.random(),
            "hooks": self.hooks,
        }}
"""


def deployed(
    platform: Any, name: str, *, max_instances: int | None = None, **filled: object
) -> str:
    code = SERVICE.format(**{"before": "pass", "after": "pass", **filled})
    tag = platform.build(name, {"service.py": code}).tag
    status = platform.deploy(
        tag, name, snapshot="criu", idle_timeout=0.2, max_instances=max_instances
    )
    assert status.snapshot == "criu"
    platform.wait_for_zero(name)
    return str(tag)


def warmed(platform: Any, tag: str) -> list[Snapshot]:
    kept = SnapshotStore(platform.home).list()
    return [each for each in kept if each.key.warmed and each.origin.bento == tag]


def test_what_an_instance_has_become_is_there_after_zero(platform: Any) -> None:
    tag = deployed(platform, "kept", warmable=True)
    platform.call("/kept/say", text="first")
    platform.wait_for("kept", KEPT)
    (snapshot,) = warmed(platform, tag)
    assert not snapshot.shareable
    draws = set()
    for text in ("second", "third"):
        answer, start = platform.call("/kept/say", text=text)
        assert start == "restored"
        assert answer["known"] == ["example", "first"]  # "second" is not: it is kept once
        assert answer["whole"]
        assert answer["hooks"] == ["before", "after", "before", "after"]
        draws.add(answer["random"])
        platform.wait_for_zero("kept")
    assert len(draws) == 2
    assert warmed(platform, tag) == [snapshot]
    assert verify(snapshot) is None


def test_the_kept_state_outlives_the_platform_and_the_first_snapshot(platform: Any) -> None:
    tag = deployed(platform, "outliving", warmable=True)
    platform.call("/outliving/say", text="first")
    platform.wait_for("outliving", KEPT)
    daemon.stop(platform.home)
    store = SnapshotStore(platform.home)
    for each in store.list():
        if each.origin.bento == tag and not each.key.warmed:
            store.delete(each)
    platform.deploy(tag, "outliving", snapshot="criu", idle_timeout=0.2)
    platform.wait_for_zero("outliving")
    answer, start = platform.call("/outliving/say", text="later")
    assert (answer["known"], start) == (["example", "first"], "restored")


def test_a_request_does_not_wait_until_the_only_instance_is_kept(
    platform: Any, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    waits = f"""import pathlib, time
        while len(self.hooks) > 2 and not pathlib.Path({str(gate)!r}).exists():
            time.sleep(0.01)"""
    deployed(platform, "busy", warmable=True, before=waits, max_instances=1)
    platform.call("/busy/say", text="first")
    platform.wait_until(lambda: platform.status("busy").state == "parking")
    answer, start = platform.call("/busy/say", text="second")
    assert (answer["known"], start) == (["example"], "restored")
    gate.touch()
    platform.wait_for("busy", KEPT)


def test_without_the_declaration_nothing_of_an_instance_is_kept(platform: Any) -> None:
    tag = deployed(platform, "forgotten", warmable=False)
    for text in ("first", "second"):
        answer, start = platform.call("/forgotten/say", text=text)
        assert (answer["known"], start) == (["example"], "restored")
        platform.wait_for_zero("forgotten")
    assert warmed(platform, tag) == []


def test_what_cannot_be_kept_is_named_and_the_first_snapshot_stays(platform: Any) -> None:
    tag = deployed(platform, "held", warmable=True, after="self.file = open('/dev/ptmx')")
    for text in ("first", "second"):
        answer, start = platform.call("/held/say", text=text)
        assert (answer["known"], start) == (["example"], "restored")
        platform.wait_for_zero("held")
    platform.wait_for("held", "is not kept: the service has the device")
    assert platform.log("held").count("is not kept") == 1
    assert warmed(platform, tag) == []


def test_an_instance_that_is_killed_while_it_is_kept_harms_nothing(platform: Any) -> None:
    deployed(platform, "killed", warmable=True)
    platform.call("/killed/say", text="first")
    (instance,) = platform.status("killed").instances
    platform.wait_until(lambda: platform.status("killed").state != "running")
    with contextlib.suppress(ProcessLookupError):
        os.kill(instance.pid, signal.SIGKILL)
    platform.wait_for_zero("killed")
    platform.wait_until(lambda: re.search("is not kept: |kept an instance", platform.log("killed")))
    answer, start = platform.call("/killed/say", text="second")
    assert start == "restored"
    assert answer["known"] in (["example"], ["example", "first"])
    assert all(re.fullmatch("[0-9a-f]{32}|.*key", each.name) for each in platform.snapshots())


def test_one_that_ends_while_another_process_keeps_the_same_is_waited_for_no_longer(
    platform: Any,
) -> None:
    tag = deployed(platform, "queued", warmable=True)
    kept = SnapshotStore(platform.home).list()
    (first,) = (each for each in kept if each.origin.bento == tag)
    with platform.home.lock(f"snapshot-{replace(first.key, warmed=True).id}"):
        platform.call("/queued/say", text="first")
        platform.wait_for("queued", "Waiting for another bentofn process")
        (instance,) = platform.status("queued").instances
        os.kill(instance.pid, signal.SIGKILL)
        platform.wait_for("queued", "is not kept: It was called off")


def test_an_instance_that_is_no_restore_is_not_kept_and_counts_until_it_has_ended(
    platform: Any, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    service = f"""
        import pathlib, time
        import bentofn

        @bentofn.service(snapshot={{"warmable": True}})
        class Service:
            @bentofn.api(examples=[{{}}])
            def say(self) -> int:
                return 1

            @bentofn.on_shutdown
            def end(self) -> None:
                while not pathlib.Path({str(gate)!r}).exists():
                    time.sleep(0.01)
        """
    tag = platform.build("mortal", {"service.py": service}).tag
    platform.deploy(tag, "mortal", snapshot="template", idle_timeout=0.2, max_instances=1)
    platform.call("/mortal/say")
    platform.wait_until(lambda: platform.status("mortal").instances[0].state != "ready")
    assert [each.state for each in platform.status("mortal").instances] == ["stopping"]
    gate.touch()
    platform.wait_for_zero("mortal")
