from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from bentofn.adapters.local.choice import EngineChoice
from bentofn.adapters.local.engines import (
    Engine,
    EngineRefused,
    Instance,
    InstanceSpec,
    StartFailed,
)
from bentofn.adapters.protocol import Snapshot


@dataclass
class Script:
    """An engine whose preparation goes as it is written."""

    name: str
    fails: list[Exception] = field(default_factory=list)
    kept: bool = False
    closed: int = 0

    async def prepare(self) -> None:
        if self.fails:
            raise self.fails.pop(0)

    async def start(self, spec: InstanceSpec) -> Instance:
        raise NotImplementedError

    async def close(self) -> None:
        self.closed += 1


@dataclass
class KeepingScript(Script):
    """One that may keep something on disk."""

    async def recall(self) -> bool:
        return self.kept


class House:
    """A choice between scripted engines, and what it told."""

    def __init__(self, setting: Snapshot, **engines: Script) -> None:
        self.engines = engines
        self.told: list[tuple[str, str]] = []
        self.choice = EngineChoice(
            setting, self._make, 60.0, lambda engine, line: self.told.append((engine, line))
        )

    async def _make(self, name: str) -> Engine:
        return self.engines[name]

    async def prepare(self) -> None:
        work = self.choice.prepare()
        assert work is not None
        await work


def both(**fails: list[Exception]) -> dict[str, Script]:
    return {
        "criu": KeepingScript("criu", fails.get("criu", [])),
        "template": Script("template", fails.get("template", [])),
    }


async def test_the_fastest_engine_is_taken() -> None:
    house = House("auto", **both())
    await house.prepare()
    assert (house.choice.state, house.choice.note) == ("criu", "")
    assert house.told == [("criu", "ready")]


async def test_a_step_down_has_its_sentence() -> None:
    house = House("auto", **both(criu=[EngineRefused("there is no CRIU")]))
    await house.prepare()
    assert house.choice.state == "template"
    sentence = (
        "instances are forked from a template, not restored from a snapshot: there is no CRIU"
    )
    assert house.choice.note == sentence
    assert house.told == [("criu", sentence), ("template", "ready")]
    assert house.engines["criu"].closed == 1


async def test_a_service_that_allows_neither_starts_plainly() -> None:
    refused = [EngineRefused("it holds a connection")]
    house = House("auto", **both(criu=[*refused], template=[*refused]))
    await house.prepare()
    assert house.choice.state == "none"
    assert house.choice.note == "instances start plainly: it holds a connection"
    assert house.choice.prepare() is None


async def test_a_service_that_reaches_no_snapshot_point_may_still_start_plainly() -> None:
    house = House(
        "auto", **both(criu=[EngineRefused("no weights")], template=[StartFailed("no weights")])
    )
    await house.prepare()
    assert (house.choice.state, house.choice.note) == ("none", "no template: no weights")
    await house.prepare()
    assert house.choice.state == "template"


async def test_a_service_that_must_restore_and_does_not_start_is_said() -> None:
    house = House("template", **both(template=[StartFailed("no weights")]))
    with pytest.raises(StartFailed, match="no weights"):
        await house.prepare()
    assert house.choice.note == "no template: no weights"


async def test_what_is_kept_is_taken_up_without_starting_the_service() -> None:
    engines = both(criu=[EngineRefused("never asked")])
    engines["criu"].kept = True
    house = House("auto", **engines)
    await asyncio.gather(house.choice.recall(), house.choice.recall())
    assert house.choice.current is engines["criu"]


async def test_a_snapshot_that_fails_thrice_is_given_up() -> None:
    house = House("auto", **both())
    await house.prepare()
    engine = house.choice.current
    assert engine is not None
    for _ in range(2):
        house.choice.failed(engine, StartFailed("no network"))
    house.choice.started(engine)
    for _ in range(3):
        assert house.choice.current is engine
        house.choice.failed(engine, StartFailed("no network"))
    assert house.choice.current is None
    assert "its snapshot failed 3 times: no network" in house.choice.note
    await house.prepare()
    assert house.choice.state == "template"
    await house.choice.close()
    assert {name: each.closed for name, each in house.engines.items()} == {"criu": 1, "template": 1}


async def test_a_template_that_fails_is_replaced_and_three_are_enough() -> None:
    house = House("template", **both())
    for _ in range(3):
        await house.prepare()
        assert house.choice.current is not None
        house.choice.failed(house.choice.current, StartFailed("gone"))
    assert house.choice.prepare() is None
    with pytest.raises(StartFailed, match="given up: gone; mend that, or deploy it with snapshot"):
        await house.choice.demand()


async def test_a_template_that_is_lost_now_and_then_is_always_replaced() -> None:
    house = House("auto", **both(criu=[EngineRefused("CRIU needs root")]))
    for _ in range(5):
        await house.prepare()
        template = house.choice.current
        assert template is not None
        house.choice.started(template)
        house.choice.failed(template, StartFailed("gone"))


async def test_a_start_that_must_restore_may_do_after_others_failed() -> None:
    gone = [StartFailed("gone") for _ in range(3)]
    house = House("template", **both(template=gone))
    for _ in range(3):
        with pytest.raises(StartFailed):
            await house.prepare()
    with pytest.raises(StartFailed, match="mend that, or deploy it with snapshot: auto"):
        await house.choice.demand()
    await house.choice.demand()
    assert house.choice.state == "template"


async def test_who_must_restore_is_told_why_it_cannot_be() -> None:
    house = House("criu", **both(criu=[EngineRefused("CRIU needs root")]))
    with pytest.raises(StartFailed, match="no instance starts: CRIU needs root; mend that"):
        await house.choice.demand()
    assert house.choice.must_restore


async def test_nothing_is_prepared_for_who_wants_none() -> None:
    house = House("none", **both())
    await house.choice.recall()
    assert house.choice.prepare() is None
    assert house.choice.state == "none"
