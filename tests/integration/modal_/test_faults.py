"""Every single call of a deployment fails in every way: what was live stays, and nothing is left.

The specs differ from one to the next, so that each is a deployment of its own.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import Any, get_args

import pytest
from modal_cloud import Cloud
from modal_cloud.faults import Kind

from bentofn.adapters.modal.adapter import ModalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

QUICK = ("denied", "throttled")
KINDS = [
    pytest.param(each, marks=() if each in QUICK else pytest.mark.slow) for each in get_args(Kind)
]
"""Where the client tries again, it takes its time."""


def silent(_: str) -> None:
    pass


@pytest.fixture
def adapter(sparse_home: Home, cloud: Cloud) -> ModalAdapter:
    """The adapter; nothing that it deploys is run."""
    return ModalAdapter(sparse_home)


def spots(cloud: Cloud, kind: Kind) -> list[tuple[str, int]]:
    """The calls that were seen, each by its name and which of that name it was.

    Of more than two of a name the first and the last are taken, since those between are alike; the
    last alone where the client takes its time.
    """
    first = {0} if kind in QUICK else set()
    counted = Counter(cloud.names())
    return [(name, at) for name, count in counted.items() for at in sorted(first | {count - 1})]


def tag_of(cloud: Cloud, name: str) -> str | None:
    app = cloud.state.app_named(name)
    return None if app is None or app.live is None else app.live.tag


def outcome(adapter: ModalAdapter, spec: FunctionSpec, cloud: Cloud) -> str:
    """The call that an apply says has failed; empty if it says of none."""
    try:
        said = adapter.apply(spec, silent).note
    except UserError as error:
        said = str(error)
    found = re.search(r" failed at Modal's (\w+): .+ \(\w+\); .+\.$", said)
    assert found or not said
    return found[1] if found else ""


def outcome_of(name: str, kind: Kind, cloud: Cloud) -> str:
    """What is to be said; none of a call that was not made, or broke off having said all."""
    harmless = kind == "half" and name == "ImageJoinStreaming"
    return "" if harmless or not cloud.faults.victim else name


def has_published(cloud: Cloud) -> bool:
    return "AppPublish" in cloud.names()


@pytest.mark.parametrize("kind", KINDS)
def test_the_old_version_serves_and_the_next_deployment_goes_on(
    adapter: ModalAdapter, cloud: Cloud, kind: Kind
) -> None:
    numbers = itertools.count()

    def changed() -> FunctionSpec:
        settings = FunctionSettings(environment={"NUMBER": str(next(numbers))})
        return FunctionSpec("adder", "adder:1", settings)

    adapter.apply(changed(), silent)
    cloud.faults.clear()
    adapter.apply(changed(), silent)
    tried = spots(cloud, kind)
    for name, occurrence in tried:
        before = tag_of(cloud, "adder")
        spec = changed()
        cloud.faults.at(name, occurrence, kind)
        if kind == "slow":
            assert adapter.apply(spec, silent).changed
            assert cloud.faults.victim == name
            continue
        assert outcome(adapter, spec, cloud) == outcome_of(name, kind, cloud)
        if not has_published(cloud) or (name == "AppPublish" and kind != "half"):
            assert tag_of(cloud, "adder") == before, name
        else:
            assert tag_of(cloud, "adder") != before, name
            cloud.faults.clear()
            assert not adapter.apply(spec, silent).changed  # it is as was asked for
        assert cloud.state.leftovers() == [], name
    cloud.faults.clear()
    assert adapter.apply(changed(), silent).changed
    adapter.destroy("adder")
    assert cloud.state.leftovers() == []
    assert cloud.state.volumes == {}


@pytest.mark.parametrize("kind", ["denied", pytest.param("half", marks=pytest.mark.slow)])
def test_of_a_first_deployment_that_fails_destroying_finds_all(
    adapter: ModalAdapter, cloud: Cloud, kind: Kind
) -> None:
    adapter.apply(FunctionSpec("first", "adder:1"), silent)
    tried = spots(cloud, kind)
    adapter.destroy("first")
    for number, (name, occurrence) in enumerate(tried):
        function = f"adder-{number}"
        cloud.state.images.clear()
        cloud.state.content.clear()
        cloud.faults.at(name, occurrence, kind)
        assert outcome(adapter, FunctionSpec(function, "adder:1"), cloud) == outcome_of(
            name, kind, cloud
        )
        if not has_published(cloud) or (name == "AppPublish" and kind != "half"):
            assert tag_of(cloud, function) is None, name
        made = bool(cloud.state.leftovers()) or tag_of(cloud, function) is not None
        cloud.faults.clear()
        if made:
            adapter.destroy(function)
        assert cloud.state.leftovers() == [], name
        assert cloud.state.volumes == {}, name


def test_a_deployment_that_was_cut_off_is_gone_on_with(adapter: ModalAdapter, cloud: Cloud) -> None:
    def cut_off(line: str) -> None:
        if "deploying" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapter.apply(FunctionSpec("adder", "adder:1"), cut_off)
    assert tag_of(cloud, "adder") is None
    (volume,) = cloud.state.volumes.values()
    before: Any = dict(volume.files)
    cloud.faults.clear()
    assert adapter.apply(FunctionSpec("adder", "adder:1"), silent).version == 1
    assert volume.files == before
    assert cloud.requests("VolumePutFiles") == []
