from __future__ import annotations

from typing import Any

import pytest

from bentofn.adapters.local.journal.events import (
    GONE,
    RequestAnswered,
    RequestArrived,
    RequestAssigned,
    RequestQueued,
    RequestRefused,
)
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.local.journal.record import Record
from bentofn.adapters.local.journal.request_ids import new_request_id, request_id_of


def record(journal: Journal) -> Record:
    return Record(journal, "hello", "r1", "POST", "/greet", 12)


def ends(journal: Journal) -> list[Any]:
    kinds = (RequestAnswered, RequestRefused)
    return [event for event in journal.recent() if isinstance(event, kinds)]


def test_a_request_is_told_from_its_arrival_to_its_answer() -> None:
    journal = Journal(lambda: 5.0)
    request = record(journal)
    request.queued()
    request.assigned("i1", "restored")
    request.size, request.batch_size = 7, 3
    request.answered(200)
    request.close()
    arrived, queued, assigned, answered = journal.recent()
    assert arrived == RequestArrived(5.0, "hello", "r1", "POST", "/greet", 12, 1)
    assert queued == RequestQueued(5.0, "hello", "r1", 1)
    assert assigned == RequestAssigned(5.0, "hello", "r1", "i1", "restored", 1)
    assert isinstance(answered, RequestAnswered)
    assert answered.started is not None
    assert answered.queued <= answered.started <= answered.ended
    told = (answered.status, answered.batch_size, answered.size, answered.instance, answered.start)
    assert told == (200, 3, 7, "i1", "restored")


def test_a_request_ends_once() -> None:
    journal = Journal()
    request = record(journal)
    request.refused(429, "Too many.")
    request.answered(200)
    request.close()
    (end,) = ends(journal)
    assert (end.status, end.reason) == (429, "Too many.")


def test_a_request_that_nothing_is_said_of_was_left_by_its_caller() -> None:
    journal = Journal()
    record(journal).close()
    (end,) = ends(journal)
    assert (end.status, end.started, end.instance) == (GONE, None, "")


@pytest.mark.parametrize("header", ["X-Request-Id", "X-Amzn-RequestId", "X-Bentofn-Request-Id"])
def test_an_id_that_a_request_brings_is_kept(header: str) -> None:
    assert request_id_of({header: "mine-1"}) == "mine-1"


@pytest.mark.parametrize("given", ["", "two words", "a" * 129, "naïve", "a\nb"])
def test_an_id_that_no_header_may_hold_is_replaced(given: str) -> None:
    found = request_id_of({"X-Request-Id": given})
    assert found != given
    assert len(found) == 36


def test_ids_differ() -> None:
    assert len({new_request_id() for _ in range(100)}) == 100


def test_of_a_long_path_the_beginning_is_told() -> None:
    journal = Journal()
    Record(journal, "hello", "r1", "POST", "/" + "a" * 8000, 0)
    (arrived,) = journal.recent()
    assert isinstance(arrived, RequestArrived)
    assert arrived.path == "/" + "a" * 511
