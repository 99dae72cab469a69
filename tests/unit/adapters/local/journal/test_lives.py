from __future__ import annotations

from bentofn.adapters.local.journal.events import InstanceChanged
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.local.journal.lives import Lives


def states(journal: Journal) -> list[str]:
    return [event.state for event in journal.recent() if isinstance(event, InstanceChanged)]


def test_an_instance_is_busy_from_its_first_request_to_its_last() -> None:
    journal = Journal()
    lives = Lives(journal, "hello")
    lives.starting("i1", "cold")
    lives.ready("i1", "cold", 0.5)
    lives.assigned(1, "i1")
    lives.assigned(2, "i1")
    lives.released(1)
    lives.released(2)
    lives.ending("i1", "stopping")
    lives.gone("i1", "exited with status 0")
    assert states(journal) == ["starting", "ready", "busy", "idle", "stopping", "gone"]


def test_one_that_is_restored_says_so_and_how_long_it_took() -> None:
    journal = Journal()
    lives = Lives(journal, "hello")
    lives.starting("i1", "restored")
    lives.ready("i1", "restored", 0.25)
    first, second = journal.recent()
    assert isinstance(first, InstanceChanged)
    assert isinstance(second, InstanceChanged)
    assert (first.state, first.took) == ("restoring", None)
    assert (second.state, second.took, second.kind) == ("ready", 0.25, "restored")


def test_a_request_that_outlives_its_instance_wakes_nothing() -> None:
    journal = Journal()
    lives = Lives(journal, "hello")
    lives.starting("i1", "cold")
    lives.ready("i1", "cold", 0.1)
    lives.assigned(1, "i1")
    lives.gone("i1", "killed by signal 9")
    lives.released(1)
    lives.released(2)  # it never had an instance
    assert states(journal) == ["starting", "ready", "busy", "gone"]


def test_of_a_long_reason_the_beginning_is_told() -> None:
    journal = Journal()
    lives = Lives(journal, "hello")
    lives.starting("i1", "cold")
    lives.gone("i1", "Error: " + "a" * 60_000)
    gone = journal.recent()[-1]
    assert isinstance(gone, InstanceChanged)
    assert len(gone.reason) == 512
