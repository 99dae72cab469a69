"""The batcher's promises, for every order of events that its driver can produce."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bentofn.runtime.batching.core import Batcher, Command, Dispatch, Expire, Slice, WakeAt

MAX_BATCH = 8
MAX_LATENCY = 10.0


class Driver(RuleBasedStateMachine):
    """Drives a batcher as an event loop would: it wakes when asked, late, or for no reason."""

    max_in_flight = 1

    def __init__(self) -> None:
        super().__init__()
        self.batcher = Batcher(MAX_BATCH, MAX_LATENCY, self.max_in_flight)
        self.now = 0.0
        self.wake_at = math.inf
        self.sizes: list[int] = []
        self.kinds: list[str] = []
        self.arrived: list[float] = []
        self.next_item: dict[int, int] = {}
        self.waiting: list[int] = []
        self.running = 0
        self.order: list[int] = []

    def carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, WakeAt):
                assert command.time >= self.now
                self.wake_at = min(self.wake_at, command.time)
            elif isinstance(command, Expire):
                self.expire(command.request_id)
            else:
                self.dispatch(command.batch)

    def expire(self, request_id: int) -> None:
        assert self.now >= self.arrived[request_id] + MAX_LATENCY  # as the batcher rounds
        assert request_id not in self.next_item, "a running request expired"
        self.waiting.remove(request_id)

    def dispatch(self, batch: tuple[Slice, ...]) -> None:
        self.running += 1
        assert batch
        assert sum(piece.stop - piece.start for piece in batch) <= MAX_BATCH
        assert len({self.kinds[piece.request_id] for piece in batch}) == 1
        for piece in batch:
            request_id = piece.request_id
            assert request_id == self.waiting[0], "not in order of arrival"
            assert piece.start == self.next_item.get(request_id, 0)
            assert piece.stop <= self.sizes[request_id]
            whole = piece.start == 0 and piece.stop == self.sizes[request_id]
            assert whole or self.sizes[request_id] > MAX_BATCH, "a small request was torn"
            self.next_item[request_id] = piece.stop
            if piece.stop == self.sizes[request_id]:
                self.waiting.remove(request_id)

    def wake(self) -> None:
        self.wake_at = math.inf
        self.carry_out(self.batcher.wake(self.now))
        assert not self.waiting or self.running == self.max_in_flight, "idle with work to do"

    @rule(size=st.integers(0, 3 * MAX_BATCH), kind=st.sampled_from("aaab"))
    def submit(self, size: int, kind: str) -> None:
        request_id = len(self.sizes)
        self.sizes.append(size)
        self.kinds.append(kind)
        self.arrived.append(self.now)
        self.waiting.append(request_id)
        self.carry_out(self.batcher.submit(request_id, size, self.now, kind))

    @rule()
    def wake_early(self) -> None:
        self.wake()

    @precondition(lambda self: self.wake_at <= self.now)
    @rule()
    def wake_when_asked(self) -> None:
        self.wake()

    @rule(seconds=st.floats(0, 1.5 * MAX_LATENCY))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.running)
    @rule()
    def batch_ends(self) -> None:
        self.running -= 1
        self.carry_out(self.batcher.finished(self.now))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def client_leaves(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(request_id)
        self.batcher.cancel(request_id)

    @rule()
    def drain(self) -> None:
        dropped = self.batcher.drain()
        assert dropped == [each for each in self.waiting if each not in self.next_item]
        self.waiting = [each for each in self.waiting if each in self.next_item]

    @invariant()
    def a_wake_is_due_while_there_is_work(self) -> None:
        if self.waiting and self.running < self.max_in_flight:
            assert self.wake_at <= self.now
        unstarted = [each for each in self.waiting if each not in self.next_item]
        if unstarted:
            assert self.wake_at <= self.arrived[unstarted[0]] + MAX_LATENCY

    @invariant()
    def idle_is_true_to_its_name(self) -> None:
        assert self.batcher.idle == (not self.waiting and not self.running)

    def teardown(self) -> None:
        # Only what was asked for happens from here on: every request must come to its end.
        while self.waiting or self.running:
            if self.wake_at <= self.now:
                self.wake()
            elif self.running:
                self.batch_ends()
            else:
                pytest.fail("requests wait and nothing will wake the batcher")


class DriverOfTwo(Driver):
    max_in_flight = 2


TestOneInFlight = Driver.TestCase
TestOneInFlight.settings = settings(max_examples=60, stateful_step_count=40)
TestTwoInFlight = DriverOfTwo.TestCase
TestTwoInFlight.settings = settings(max_examples=40, stateful_step_count=40)


def test_a_lone_request_runs_without_a_wait() -> None:
    batcher = Batcher(8, 1.0)
    assert batcher.submit(0, 3, now=5.0) == [WakeAt(5.0)]
    assert batcher.wake(5.0) == [Dispatch((Slice(0, 0, 3),))]


def test_what_arrives_during_a_batch_forms_the_next_one() -> None:
    batcher = Batcher(8, 1.0)
    batcher.submit(0, 1, now=0.0)
    batcher.wake(0.0)
    for request_id in (1, 2, 3):
        batcher.submit(request_id, 1, now=0.1)
    assert batcher.wake(0.2) == [WakeAt(1.1)]
    assert batcher.finished(0.3) == [WakeAt(0.3)]
    assert batcher.wake(0.3) == [Dispatch((Slice(1, 0, 1), Slice(2, 0, 1), Slice(3, 0, 1)))]


def test_an_oversize_request_is_split_and_its_rest_shares_a_batch() -> None:
    batcher = Batcher(100, 1.0)
    batcher.submit(0, 150, now=0.0)
    batcher.submit(1, 20, now=0.0)
    assert batcher.wake(0.0) == [Dispatch((Slice(0, 0, 100),)), WakeAt(1.0)]
    assert batcher.finished(0.5) == [WakeAt(0.5)]
    assert batcher.wake(0.5) == [Dispatch((Slice(0, 100, 150), Slice(1, 0, 20)))]


def test_the_rest_of_a_started_request_never_expires() -> None:
    batcher = Batcher(100, 1.0)
    batcher.submit(0, 150, now=0.0)
    batcher.submit(1, 20, now=0.0)
    batcher.wake(0.0)
    batcher.finished(5.0)
    assert batcher.wake(5.0) == [Expire(1), Dispatch((Slice(0, 100, 150),))]


def test_without_a_limit_nothing_expires() -> None:
    batcher = Batcher(1, math.inf)
    batcher.submit(0, 1, now=0.0)
    batcher.wake(0.0)
    assert batcher.submit(1, 1, now=0.0) == []
    assert batcher.wake(1e12) == []


@pytest.mark.parametrize("arguments", [(0, 1.0, 1), (1, 0.0, 1), (1, math.nan, 1), (1, 1.0, 0)])
def test_limits_that_cannot_work_are_refused(arguments: tuple[int, float, int]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Batcher(*arguments)
