"""The queue under arbitrary arrivals, ends, interruptions and cancellations."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bentofn.runtime.tasks.core import (
    ATTEMPTS,
    Command,
    GiveUp,
    Start,
    Stop,
    TaskQueue,
    WakeAt,
)


def ids(commands: list[Command], kind: type[Start] | type[Stop] | type[GiveUp]) -> list[str]:
    return [command.id for command in commands if isinstance(command, kind)]


def test_tasks_run_in_order_so_many_at_a_time() -> None:
    queue = TaskQueue(2)
    assert ids(queue.submitted("a", 0), Start) == ["a"]
    assert ids(queue.submitted("b", 0), Start) == ["b"]
    assert queue.submitted("c", 0) == []
    assert (queue.running, queue.waiting) == (2, 1)
    assert ids(queue.ended("b", 1), Start) == ["c"]


def test_an_interrupted_task_runs_again_later_and_not_for_ever() -> None:
    queue = TaskQueue(1, attempts=2, backoff=1.0)
    queue.submitted("a", 0)
    assert queue.interrupted("a", "it was killed", 5.0) == [WakeAt(6.0)]
    assert ids(queue.tick(5.9), Start) == []
    assert ids(queue.tick(6.0), Start) == ["a"]
    (given_up,) = queue.interrupted("a", "it was killed", 7.0)
    assert given_up == GiveUp("a", "The task was begun 2 times and did not end: it was killed")
    assert (queue.running, queue.waiting) == (0, 0)


def test_what_a_killed_process_has_begun_counts() -> None:
    queue = TaskQueue(1)
    assert ids(queue.submitted("a", 0, begun=ATTEMPTS - 1), Start) == ["a"]
    assert ids(queue.submitted("b", 0, begun=ATTEMPTS), GiveUp) == ["b"]


def test_a_cancelled_task_is_stopped_or_never_runs() -> None:
    queue = TaskQueue(1)
    queue.submitted("a", 0)
    queue.submitted("b", 0)
    assert queue.cancelled("b", 0) == []
    assert queue.cancelled("a", 0) == [Stop("a")]
    assert queue.cancelled("a", 0) == []
    assert queue.interrupted("a", "it was stopped", 0) == []
    assert (queue.running, queue.waiting) == (0, 0)


def test_a_task_that_is_cancelled_between_two_attempts_waits_no_more() -> None:
    queue = TaskQueue(1)
    queue.submitted("a", 0)
    queue.interrupted("a", "it was stopped", 0)
    assert queue.waiting == 1
    queue.cancelled("a", 0)
    assert queue.waiting == 0


class Queue(RuleBasedStateMachine):
    """Every task is begun at most so often, ends once, and none is forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = TaskQueue(2)
        self.now = 0.0
        self.wake: float | None = None
        self.submitted: list[str] = []
        self.begun: dict[str, int] = {}
        self.running: set[str] = set()
        self.told_to_stop: set[str] = set()
        self.over: set[str] = set()

    def obey(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, Start):
                assert command.id not in self.running | self.over
                self.running.add(command.id)
                self.begun[command.id] = self.begun.get(command.id, 0) + 1
            elif isinstance(command, Stop):
                assert command.id in self.running - self.told_to_stop
                self.told_to_stop.add(command.id)
            elif isinstance(command, GiveUp):
                assert self.begun[command.id] == ATTEMPTS
                self.over.add(command.id)
            else:
                self.wake = command.time

    @rule()
    def submit(self) -> None:
        task = str(len(self.submitted))
        self.submitted.append(task)
        self.obey(self.queue.submitted(task, self.now))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), interrupted=st.booleans())
    def end(self, data: st.DataObject, interrupted: bool) -> None:
        task = data.draw(st.sampled_from(sorted(self.running)))
        self.running.remove(task)
        if not interrupted or task in self.told_to_stop:
            self.over.add(task)
        event = self.queue.interrupted(task, "", self.now) if interrupted else None
        self.obey(self.queue.ended(task, self.now) if event is None else event)

    @precondition(lambda self: self.submitted)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.submitted))
        if task not in self.over:
            self.obey(self.queue.cancelled(task, self.now))
            if task not in self.running:
                self.over.add(task)

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        if self.wake is not None and self.now >= self.wake:
            self.wake = None
            self.obey(self.queue.tick(self.now))

    @rule(limit=st.integers(1, 3))
    def change_limit(self, limit: int) -> None:
        self.queue.limit = limit
        self.obey(self.queue.tick(self.now))

    @invariant()
    def room_is_used(self) -> None:
        assert self.queue.running == len(self.running)
        waiting = len(set(self.submitted) - self.running - self.over)
        if waiting and len(self.running) < self.queue.limit:
            assert self.wake is not None  # it waits for its next attempt

    def teardown(self) -> None:
        for _ in range(20 * len(self.submitted) + 20):
            self.now = max(self.now, self.wake or 0.0)
            self.obey(self.queue.tick(self.now))
            for task in sorted(self.running):
                self.running.remove(task)
                self.over.add(task)
                self.obey(self.queue.ended(task, self.now))
        assert self.over == set(self.submitted)


TestQueue = Queue.TestCase
