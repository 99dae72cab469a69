from __future__ import annotations

import asyncio

from bentofn.adapters.local.clock import ManualClock
from bentofn.adapters.local.journal.events import Cost, Deployed, Destroyed, Event
from bentofn.adapters.local.journal.journal import Journal, Missed


def happened(journal: Journal, *names: str) -> None:
    for name in names:
        journal.publish(Destroyed(journal.now(), name))


def names(events: list[Event]) -> list[str]:
    return [event.function for event in events]


def test_the_latest_events_are_kept_in_their_order() -> None:
    journal = Journal(size=3)
    happened(journal, "a", "b", "c", "d")
    assert journal.count == 4
    assert names(journal.recent()) == ["b", "c", "d"]
    assert names(journal.recent(after=3)) == ["d"]
    assert journal.recent(after=4) == []


def test_events_have_the_platforms_time() -> None:
    clock = ManualClock(start=1000.0)
    journal = Journal(clock.now)
    happened(journal, "a")
    clock.advance(60)
    happened(journal, "b")
    assert [event.at for event in journal.recent()] == [1000.0, 1060.0]


def test_what_is_attached_gets_every_event_at_once() -> None:
    journal = Journal(size=1)
    seen: list[Event] = []
    journal.attach(seen.append)
    happened(journal, "a", "b")
    assert names(seen) == ["a", "b"]


async def test_readers_get_what_comes_each_for_itself() -> None:
    journal = Journal()
    happened(journal, "before")
    one, two = journal.subscribe(), journal.subscribe(after=0)
    waiting = asyncio.ensure_future(anext(one))
    assert (await anext(two)) == journal.recent()[0]
    await asyncio.sleep(0)  # until the first reader waits
    happened(journal, "a", "b")
    assert [await waiting, await anext(one)] == journal.recent(after=1)
    assert [await anext(two), await anext(two)] == journal.recent(after=1)


async def test_a_reader_is_told_what_it_missed() -> None:
    journal = Journal(size=2)
    reader = journal.subscribe(after=0)
    happened(journal, "a", "b", "c", "d", "e")
    assert await anext(reader) == Missed(3)
    assert await anext(reader) == journal.recent()[0]
    happened(journal, "f", "g", "h")
    found = [await anext(reader) for _ in range(4)]
    assert [each if isinstance(each, Missed) else each.function for each in found] == [
        "e",
        Missed(1),
        "g",
        "h",
    ]


def test_what_is_attached_to_some_kinds_gets_no_others() -> None:
    journal = Journal()
    seen: list[Event] = []
    journal.attach(seen.append, Cost, Deployed)
    happened(journal, "a")
    journal.publish(Cost(0.0, "b", 1.0))
    assert names(seen) == ["b"]
