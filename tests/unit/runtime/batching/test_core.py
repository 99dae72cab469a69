"""The batcher's promises, for every order of events that its driver can produce."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bentofn.runtime.batching.commands import Command, Dispatch, Expire, Fail, WakeAt
from bentofn.runtime.batching.core import Batcher
from bentofn.runtime.batching.in_flight import InFlight
from bentofn.runtime.batching.lines import Slice

MAX_BATCH = 8
MAX_LATENCY = 10.0


class Driver(RuleBasedStateMachine):
    """Drives a batcher as an event loop would: it wakes when asked, late, or for no reason."""

    in_flight: tuple[int, ...] = (1,)

    def __init__(self) -> None:
        super().__init__()
        self.limit = InFlight(*self.in_flight)
        self.batcher = Batcher(MAX_BATCH, MAX_LATENCY, self.limit)
        self.now = 0.0
        self.soon = False
        self.later = math.inf
        self.sizes: list[int] = []
        self.kinds: list[str] = []
        self.arrived: list[float] = []
        self.next_item: dict[int, int] = {}
        self.answered: dict[int, int] = {}
        self.open: list[int] = []
        self.prompt: set[int] = set()
        self.at_once: set[int] = set()
        self.running: dict[int, tuple[Slice, ...]] = {}
        self.to_retry: list[Slice] = []
        self.outcome: dict[int, str] = {}
        self.seen = self.gathering = 0

    @property
    def waiting(self) -> list[int]:
        """Requests of which something was not handed out yet, the oldest first."""
        return [each for each in self.open if not self.handed_out(each)]

    def handed_out(self, request_id: int) -> bool:
        return self.next_item.get(request_id, -1) == self.sizes[request_id]

    def carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, WakeAt) and command.time <= self.now:
                self.soon = True
            elif isinstance(command, WakeAt):
                assert command.time < self.later
                self.later = command.time
            elif isinstance(command, Expire):
                self.expire(command.request_id)
            elif isinstance(command, Dispatch):
                self.dispatch(command.batch_id, command.batch)
            else:
                pytest.fail(f"{command} though no batch has failed")

    def end(self, request_id: int, outcome: str) -> None:
        assert request_id not in self.outcome, "answered twice"
        self.outcome[request_id] = outcome
        self.open.remove(request_id)
        self.to_retry = [each for each in self.to_retry if each.request_id != request_id]

    def expire(self, request_id: int) -> None:
        late = self.now >= self.arrived[request_id] + MAX_LATENCY  # as the batcher rounds
        assert request_id not in self.at_once, "what ran at once and by itself expired"
        waited = self.now - self.arrived[request_id] > MAX_LATENCY / 20
        assert late or waited or len(self.waiting) > 1, "a lone request was not tried"
        self.end(request_id, "expired")

    def dispatch(self, batch_id: int, batch: tuple[Slice, ...]) -> None:
        assert batch
        assert all(piece.request_id in self.open for piece in batch), "nobody waits for it"
        assert sum(piece.size for piece in batch) <= MAX_BATCH
        assert len({self.kinds[piece.request_id] for piece in batch}) == 1
        if len(batch) == 1 and batch[0] in self.to_retry:
            assert batch[0] == self.to_retry.pop(0)
        else:
            assert not self.to_retry, "what failed is the oldest"
            self.take(batch)
        self.running[batch_id] = batch

    def take(self, batch: tuple[Slice, ...]) -> None:
        kind = self.kinds[batch[0].request_id]
        assert batch[0].request_id == self.waiting[0], "the oldest comes first"
        for piece in batch:
            request_id, size = piece.request_id, self.sizes[piece.request_id]
            same_kind = [each for each in self.waiting if self.kinds[each] == kind]
            assert request_id == same_kind[0], "not in order of arrival"
            assert piece.start == self.next_item.get(request_id, 0)
            whole = piece.start == 0 and piece.stop == size
            assert whole or size > MAX_BATCH, "a small request was torn"
            self.next_item[request_id] = piece.stop
        if len(batch) == 1 and batch[0].request_id in self.prompt:
            self.at_once.add(batch[0].request_id)

    def wake(self) -> None:
        self.soon = False
        self.later = math.inf if self.later <= self.now else self.later
        self.carry_out(self.batcher.wake(self.now))
        came, self.seen = len(self.sizes) > self.seen, len(self.sizes)
        self.gathering = self.gathering + 1 if self.soon and not came else 0
        assert self.gathering <= 2, "it waits for what nobody sends"
        for request_id in self.open:
            late = self.now >= self.arrived[request_id] + MAX_LATENCY
            assert not late or request_id in self.at_once, "late without an error"

    @rule(size=st.integers(0, 3 * MAX_BATCH), kind=st.sampled_from("aaab"))
    def submit(self, size: int, kind: str) -> None:
        request_id = len(self.sizes)
        self.sizes.append(size)
        self.kinds.append(kind)
        self.arrived.append(self.now)
        if len(self.running) < self.limit.limit and not self.waiting and not self.to_retry:
            self.prompt.add(request_id)
        self.open.append(request_id)
        self.carry_out(self.batcher.submit(request_id, size, self.now, kind))

    @rule()
    def wake_early(self) -> None:
        self.wake()

    @precondition(lambda self: self.soon or self.later <= self.now)
    @rule()
    def wake_when_asked(self) -> None:
        self.wake()

    @rule(seconds=st.floats(0, 1.5 * MAX_LATENCY) | st.floats(0, 0.1))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def batch_ends(self, data: st.DataObject) -> None:
        self.finish(data.draw(st.sampled_from(sorted(self.running))))

    def finish(self, batch_id: int) -> None:
        for piece in self.running.pop(batch_id):
            if piece.request_id in self.open:
                done = self.answered.get(piece.request_id, 0) + piece.size
                self.answered[piece.request_id] = done
                if done == self.sizes[piece.request_id]:
                    self.end(piece.request_id, "answered")
        self.carry_out(self.batcher.finished(batch_id, self.now))

    @precondition(lambda self: self.running)
    @rule(
        data=st.data(),
        seconds=st.floats(0.01, 0.8 * MAX_LATENCY),
        sizes=st.lists(st.integers(1, 3), max_size=MAX_BATCH),
    )
    def batch_ends_and_clients_ask_again(
        self, data: st.DataObject, seconds: float, sizes: list[int]
    ) -> None:
        self.now += seconds
        self.batch_ends(data)
        for size in sizes:
            self.now += data.draw(st.floats(0, 0.01))
            self.submit(size, "a")
            if self.soon:
                self.wake()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def batch_fails(self, data: st.DataObject) -> None:
        batch_id = data.draw(st.sampled_from(sorted(self.running)))
        batch = self.running.pop(batch_id)
        alive = [piece for piece in batch if piece.request_id in self.open]
        commands = self.batcher.failed(batch_id, self.now)
        failed = [each.request_id for each in commands if isinstance(each, Fail)]
        if len(batch) > 1:
            assert not failed, "a neighbour was not retried"
            self.to_retry += alive
        else:
            assert failed == [piece.request_id for piece in alive]
            for request_id in failed:
                self.end(request_id, "failed")
        self.carry_out([each for each in commands if not isinstance(each, Fail)])

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def client_leaves(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(self.open))
        self.end(request_id, "left")
        self.batcher.cancel(request_id)

    @rule()
    def drain(self) -> None:
        dropped = self.batcher.drain()
        assert dropped == [each for each in self.open if each not in self.next_item]
        for request_id in dropped:
            self.end(request_id, "dropped")

    @invariant()
    def a_wake_is_due(self) -> None:
        if (self.waiting or self.to_retry) and not self.running:
            assert self.soon or self.later < self.arrived[self.open[0]] + MAX_LATENCY
        for request_id in self.open:
            if request_id not in self.at_once and not self.soon:
                assert self.later <= self.arrived[request_id] + MAX_LATENCY

    @invariant()
    def idle_is_true_to_its_name(self) -> None:
        assert self.batcher.idle == (not self.open and not self.running)

    def teardown(self) -> None:
        # Only what was asked for happens from here on: every request must come to its end.
        while self.open or self.running:
            if self.soon or self.later <= self.now:
                self.wake()
            elif self.running:
                self.finish(min(self.running))
            else:
                assert self.later < math.inf, "requests wait and nothing will wake the batcher"
                self.now = self.later
        assert set(self.outcome) == set(range(len(self.sizes))), "a request was lost"


class DriverOfTwo(Driver):
    in_flight = (2,)


class DriverThatLearns(Driver):
    in_flight = (4, 16)


TestOneInFlight = Driver.TestCase
TestOneInFlight.settings = settings(max_examples=60, stateful_step_count=40)
TestTwoInFlight = DriverOfTwo.TestCase
TestTwoInFlight.settings = settings(max_examples=40, stateful_step_count=40)
TestLearnedInFlight = DriverThatLearns.TestCase
TestLearnedInFlight.settings = settings(max_examples=40, stateful_step_count=60)


def test_a_lone_request_runs_without_a_wait() -> None:
    batcher = Batcher(8, 1.0)
    assert batcher.submit(0, 3, now=5.0) == [WakeAt(5.0)]
    assert batcher.wake(5.0) == [Dispatch(1, (Slice(0, 0, 3),))]


def test_what_arrives_during_a_batch_forms_the_next_one() -> None:
    batcher = Batcher(8, 1.0)
    batcher.submit(0, 1, now=0.0)
    batcher.wake(0.0)
    for request_id in (1, 2, 3):
        batcher.submit(request_id, 1, now=0.1)
    assert batcher.wake(0.2) == []
    assert batcher.finished(1, 0.3) == [WakeAt(0.3)]
    assert batcher.wake(0.3)[0] == Dispatch(2, (Slice(1, 0, 1), Slice(2, 0, 1), Slice(3, 0, 1)))


def test_an_oversize_request_is_split_and_its_rest_shares_a_batch() -> None:
    batcher = Batcher(100, 1.0)
    batcher.submit(0, 150, now=0.0)
    batcher.submit(1, 20, now=0.0)
    assert batcher.wake(0.0) == [Dispatch(1, (Slice(0, 0, 100),)), WakeAt(1.0)]
    assert batcher.finished(1, 0.5) == [WakeAt(0.5)]
    assert batcher.wake(0.5) == [Dispatch(2, (Slice(0, 100, 150), Slice(1, 0, 20)))]


def test_what_ran_at_once_and_by_itself_never_expires() -> None:
    batcher = Batcher(100, 1.0)
    batcher.submit(0, 150, now=0.0)
    batcher.submit(1, 20, now=0.0)
    batcher.wake(0.0)
    batcher.finished(1, 5.0)
    assert batcher.wake(5.0) == [Expire(1), Dispatch(2, (Slice(0, 100, 150),))]


def test_a_request_that_is_late_while_it_runs_expires_at_its_deadline() -> None:
    batcher = Batcher(8, 1.0)
    batcher.submit(0, 1, now=0.0)
    batcher.submit(1, 1, now=0.0)
    assert batcher.wake(0.0) == [Dispatch(1, (Slice(0, 0, 1), Slice(1, 0, 1))), WakeAt(1.0)]
    assert batcher.wake(1.0) == [Expire(0), Expire(1)]
    assert not batcher.idle


def test_without_a_limit_nothing_expires() -> None:
    batcher = Batcher(1, math.inf)
    batcher.submit(0, 1, now=0.0)
    batcher.wake(0.0)
    assert batcher.submit(1, 1, now=0.0) == []
    assert batcher.wake(1e12) == []


def test_another_kind_does_not_hold_up_what_fits_together() -> None:
    batcher = Batcher(8, 1.0)
    for request_id, kind in enumerate("abab"):
        batcher.submit(request_id, 1, 0.0, kind)
    assert batcher.wake(0.0)[0] == Dispatch(1, (Slice(0, 0, 1), Slice(2, 0, 1)))
    batcher.finished(1, 0.1)
    assert batcher.wake(0.1) == [Dispatch(2, (Slice(1, 0, 1), Slice(3, 0, 1)))]


def test_members_of_a_batch_that_fails_run_once_more_each_by_itself() -> None:
    batcher = Batcher(8, 1.0)
    for request_id in range(3):
        batcher.submit(request_id, 1, now=0.0)
    batcher.wake(0.0)
    batcher.submit(3, 1, now=0.1)
    batcher.cancel(1)
    assert batcher.failed(1, 0.2) == [WakeAt(0.2)]
    assert batcher.wake(0.2) == [Dispatch(2, (Slice(0, 0, 1),))]
    assert batcher.failed(2, 0.3) == [Fail(0), WakeAt(0.3)]
    assert batcher.wake(0.3) == [Dispatch(3, (Slice(2, 0, 1),))]
    batcher.finished(3, 0.4)
    assert batcher.wake(0.4) == [Dispatch(4, (Slice(3, 0, 1),))]


def learned(batcher: Batcher, seconds: Mapping[int, float]) -> Batcher:
    """A batcher that has seen batches of these sizes run for so long, long ago."""
    for request_id in range(-10 * len(seconds), 0):
        size = list(seconds)[request_id % len(seconds)]
        batcher.submit(request_id, size, -1e6)
        batch = next(each for each in batcher.wake(-1e6) if isinstance(each, Dispatch))
        batcher.finished(batch.batch_id, -1e6 + seconds[size])
    return batcher


def sizes_of(commands: list[Command]) -> list[int]:
    return [
        sum(piece.size for piece in each.batch) for each in commands if isinstance(each, Dispatch)
    ]


def expired(commands: list[Command]) -> list[int]:
    return [each.request_id for each in commands if isinstance(each, Expire)]


def test_a_batch_is_no_larger_than_the_limit_allows() -> None:
    batcher = learned(Batcher(100, 1.0), {1: 0.11, 60: 0.7, 100: 1.1})
    for request_id in range(100):
        batcher.submit(request_id, 1, now=0.0)
    commands = batcher.wake(0.0)
    assert not expired(commands)
    assert 70 < sizes_of(commands)[0] <= 90


def test_the_oldest_are_refused_where_serving_them_would_make_those_behind_late() -> None:
    batcher = learned(Batcher(100, 1.0), {1: 0.41, 20: 0.6, 100: 1.4})
    batcher.submit(0, 1, now=0.0)
    batcher.wake(0.0)
    batcher.submit(1, 1, now=0.01)
    for request_id in range(2, 22):
        batcher.submit(request_id, 1, now=0.35)
    batcher.finished(batch_id=31, now=0.53)
    commands = batcher.wake(0.53)  # 0.48 s are left for the oldest: enough for 8 of the 21
    assert expired(commands) == [1]
    assert sizes_of(commands) == [20]


def test_a_lone_request_is_tried_unless_its_wait_has_made_it_late() -> None:
    batcher = learned(Batcher(100, 1.0), {1: 5.0, 2: 5.0})
    batcher.submit(0, 1, now=0.0)
    assert sizes_of(batcher.wake(0.0)) == [1]
    batcher.submit(1, 1, now=4.5)
    batcher.finished(batch_id=21, now=5.0)
    assert batcher.wake(5.0) == [Expire(1)]
    batcher.submit(2, 1, now=5.0)
    assert sizes_of(batcher.wake(5.0)) == [1]


def test_a_slow_batch_waits_for_the_clients_of_the_last_one_and_a_lone_one_does_not() -> None:
    batcher = learned(Batcher(8, 1.0), {1: 0.8, 4: 0.8})
    for request_id in range(4):
        batcher.submit(request_id, 1, now=0.0)
    assert sizes_of(batcher.wake(0.0)) == [4]
    batcher.finished(batch_id=21, now=0.8)
    batcher.submit(4, 1, now=0.81)
    commands = batcher.wake(0.81)
    assert not sizes_of(commands)
    held = commands[0]
    assert isinstance(held, WakeAt)
    assert held.time == pytest.approx(0.91, abs=0.01)
    for request_id in (5, 6, 7):
        batcher.submit(request_id, 1, now=0.82)
    assert sizes_of(batcher.wake(0.82)) == [4]
    batcher.finished(batch_id=22, now=1.62)
    batcher.submit(8, 1, now=1.63)
    batcher.wake(1.63)
    assert sizes_of(batcher.wake(1.75)) == [1]
    batcher.finished(batch_id=23, now=2.55)
    batcher.submit(9, 1, now=2.56)
    assert sizes_of(batcher.wake(2.56)) == [1]


def crowded() -> Batcher:
    """Batches of a crowd have run; a batch takes 0.1 s."""
    batcher = learned(Batcher(8, 10.0), {1: 0.1, 4: 0.1})
    for request_id in range(4):
        batcher.submit(request_id, 1, now=0.0)
    assert sizes_of(batcher.wake(0.0)) == [4]
    batcher.finished(batch_id=21, now=0.1)
    return batcher


def test_a_batch_waits_while_requests_are_being_read() -> None:
    batcher = crowded()
    for request_id in range(4, 7):
        now = 0.1 + request_id / 1000
        batcher.submit(request_id, 1, now=now)
        assert batcher.wake(now) == [WakeAt(now)]
    assert batcher.wake(0.107) == [WakeAt(0.107)]
    assert sizes_of(batcher.wake(0.108)) == [3]


def test_a_batch_waits_for_what_is_being_read_no_longer_than_it_takes_itself() -> None:
    batcher = crowded()
    batcher.submit(4, 1, now=0.2)
    assert batcher.wake(0.2) == [WakeAt(0.2)]
    batcher.submit(5, 1, now=0.31)
    assert sizes_of(batcher.wake(0.31)) == [2]


def test_a_full_batch_and_a_lone_client_wait_for_nothing() -> None:
    batcher = crowded()
    for request_id in range(4, 12):
        batcher.submit(request_id, 1, now=0.2)
    assert sizes_of(batcher.wake(0.2)) == [8]
    batcher.finished(batch_id=22, now=0.3)
    for request_id, now in ((12, 0.3), (13, 0.5)):
        batcher.submit(request_id, 1, now=now)
        while not (found := sizes_of(batcher.wake(now))):
            pass
        assert found == [1]
        batcher.finished(batch_id=request_id + 11, now=now + 0.1)
    batcher.submit(14, 1, now=0.7)
    assert sizes_of(batcher.wake(0.7)) == [1]


@pytest.mark.parametrize("arguments", [(0, 1.0), (1, 0.0), (1, math.nan)])
def test_limits_that_cannot_work_are_refused(arguments: tuple[int, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Batcher(*arguments)
    with pytest.raises(ValueError, match="at least one"):
        InFlight(0)
