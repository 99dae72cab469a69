"""Snapshots through the platform: kept over its restarts, and what a caller sees when they fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bentofn.adapters.local import daemon

pytestmark = pytest.mark.usefixtures("criu")

SERVICE = """
import os
import bentofn

@bentofn.service
class Service:
    def __init__(self) -> None:
        {constructor}

    @bentofn.after_restore
    def connect(self) -> None:
        if os.path.exists({switch!r}):
            raise ValueError("no network")

    @bentofn.api(examples=[{{"text": "warm"}}])
    def say(self, text: str) -> list:
        return [text, os.getpid()]
"""


def build(platform: Any, name: str, constructor: str = "pass") -> tuple[str, Path]:
    """A bento, and the file whose presence makes its hook raise."""
    switch = Path(platform.folder) / f"{name}.switch"
    code = SERVICE.format(constructor=constructor, switch=str(switch))
    return platform.build(name, {"service.py": code}).tag, switch


def test_the_first_request_after_a_restart_is_restored_from_disk(platform: Any) -> None:
    tag, _ = build(platform, "kept")
    status = platform.deploy(tag, "kept", idle_timeout=0.2)
    assert (status.snapshot, status.note) == ("criu", "")
    platform.wait_for_zero("kept")
    assert platform.call("/kept/say", text="a") == (["a", 1], "restored")
    for _ in range(2):
        daemon.stop(platform.home)
        daemon.start(platform.home, 0)
        assert platform.call("/kept/say", text="b") == (["b", 1], "restored")
    again = platform.deploy(tag, "kept", idle_timeout=0.3)
    assert again.snapshot == "criu"
    assert platform.log("kept").count("took the snapshot") == 1


def test_a_snapshot_whose_restores_fail_is_left_for_a_plain_start_and_then_given_up(
    platform: Any,
) -> None:
    tag, switch = build(platform, "failing")
    platform.deploy(tag, "failing", idle_timeout=0.2)
    platform.wait_for_zero("failing")
    for images in platform.home.snapshots.glob("*/images"):
        core = images / "core-1.img"
        core.write_bytes(core.read_bytes()[:100])
    for number in range(3):
        assert platform.status("failing").snapshot == "criu"
        (text, _), start = platform.call("/failing/say", text=f"{number}")
        assert text == f"{number}"
        assert start in ("cold", "zygote")
        platform.wait_for_zero("failing")
    status = platform.settled("failing")
    assert status.snapshot == "template"
    assert "instances are forked from a template, not restored" in status.note
    assert "its snapshot failed 3 times: CRIU could not restore it" in status.note
    assert platform.call("/failing/say", text="a")[1] == "restored"
    assert not switch.exists()


def test_a_hook_that_raises_is_a_failed_start_and_the_next_one_may_do(platform: Any) -> None:
    tag, switch = build(platform, "hooked")
    platform.deploy(tag, "hooked", snapshot="criu", idle_timeout=0.2)
    platform.wait_for_zero("hooked")
    switch.touch()
    with pytest.raises(AssertionError, match="no network"):
        platform.call("/hooked/say", text="a")
    switch.unlink()
    platform.deploy(tag, "hooked", snapshot="criu", idle_timeout=0.3)
    platform.wait_for_zero("hooked")
    assert platform.call("/hooked/say", text="a") == (["a", 1], "restored")


def test_a_hook_that_raises_in_every_start_is_no_reason_to_give_the_snapshot_up(
    platform: Any,
) -> None:
    tag, switch = build(platform, "raising")
    platform.deploy(tag, "raising", idle_timeout=0.2)
    platform.wait_for_zero("raising")
    switch.touch()
    for _ in range(2):
        with pytest.raises(AssertionError, match="no network"):
            platform.call("/raising/say", text="a")
    status = platform.settled("raising")
    assert (status.state, status.snapshot) == ("zero", "criu")
    assert status.note.startswith("its last start failed: the after_restore hook Service.connect")
    switch.unlink()
    assert platform.call("/raising/say", text="a") == (["a", 1], "restored")
    assert platform.status("raising").note == ""


def test_a_service_that_cannot_be_kept_starts_otherwise_and_says_why(platform: Any) -> None:
    lock = Path(platform.folder) / "lock"
    code = f"import fcntl; self.lock = open({str(lock)!r}, 'w'); fcntl.flock(self.lock, 2)"
    tag, _ = build(platform, "choosy", code)
    status = platform.deploy(tag, "choosy", idle_timeout=0.2)
    assert status.snapshot == "template"
    assert "instances are forked from a template, not restored" in status.note
    assert "lock" in status.note
    assert platform.call("/choosy/say", text="a")[0][0] == "a"
