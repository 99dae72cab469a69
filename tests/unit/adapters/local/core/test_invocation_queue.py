"""Whatever happens to events: none is lost, none runs after its success, none runs for ever."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bentofn.adapters.local.core.invocations.concurrency import Concurrency
from bentofn.adapters.local.core.invocations.policy import Policy, backoff
from bentofn.adapters.local.core.invocations.queue import (
    Accepted,
    Blocked,
    Condition,
    Entry,
    Event,
    Failed,
    Finish,
    Invoke,
    Keep,
    Queue,
    Succeeded,
    Throttled,
    Tick,
    WakeAt,
)


class Driver:
    """A queue, and what it was told to do."""

    def __init__(self, policy: Policy, limit: int = 10) -> None:
        self.queue = Queue(lambda _: policy, limit)
        self.running: dict[str, Entry] = {}
        self.finished: dict[str, tuple[Entry, Condition]] = {}
        self.kept: dict[str, Entry] = {}
        self.wake: float | None = None
        self.now = 0.0

    def feed(self, event: Event) -> None:
        if isinstance(event, Tick) and self.wake is not None and self.now >= self.wake:
            self.wake = None
        for command in self.queue.handle(event, self.now):
            match command:
                case Invoke(entry):
                    assert entry.id not in self.running
                    assert entry.id not in self.finished
                    self.running[entry.id] = entry
                case Finish(entry, condition):
                    assert entry.id not in self.finished
                    self.running.pop(entry.id, None)
                    self.kept.pop(entry.id, None)
                    self.finished[entry.id] = (entry, condition)
                case Keep(entry):
                    self.kept[entry.id] = entry
                case WakeAt(time):
                    self.wake = time

    def accept(self, id: str) -> None:
        entry = Entry(id, "", self.now, self.now)
        self.kept[id] = entry
        self.feed(Accepted(entry))

    def answer(self, event: Event) -> None:
        assert not isinstance(event, Accepted | Tick)
        del self.running[event.id]
        self.feed(event)

    def pass_time(self, until: float) -> None:
        while self.wake is not None and self.wake <= until:
            self.now = max(self.now, self.wake)
            self.feed(Tick())
        self.now = until


def test_a_failing_function_is_retried_after_one_and_two_minutes() -> None:
    driver = Driver(Policy())
    driver.accept("a")
    starts = []
    for _ in range(3):
        starts.append(driver.now)
        driver.answer(Failed("a"))
        if "a" not in driver.finished:
            driver.pass_time(driver.wake or 0.0)
    assert starts == [0.0, 60.0, 180.0]
    entry, condition = driver.finished["a"]
    assert condition == "RetriesExhausted"
    assert entry.runs == 3


def test_a_throttled_event_backs_off_until_it_is_too_old_and_uses_no_retry() -> None:
    driver = Driver(Policy(retries=0, age=1000.0))
    driver.accept("a")
    waits = []
    while "a" not in driver.finished:
        driver.answer(Throttled("a"))
        waits.append((driver.wake or 0.0) - driver.now)
        driver.pass_time(driver.wake or 0.0)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 1000.0 - 811.0]
    entry, condition = driver.finished["a"]
    assert condition == "EventAgeExceeded"
    assert entry.runs == 0


def test_a_function_that_may_not_run_gives_its_events_up_at_once() -> None:
    driver = Driver(Policy())
    driver.accept("a")
    driver.answer(Blocked("a"))
    assert driver.finished["a"][1] == "ZeroReservedConcurrency"


def test_only_so_many_run_at_a_time() -> None:
    driver = Driver(Policy(), limit=2)
    for id in "abc":
        driver.accept(id)
    assert sorted(driver.running) == ["a", "b"]
    driver.answer(Succeeded("a"))
    assert sorted(driver.running) == ["b", "c"]


def test_a_queue_learns_how_many_there_is_room_for() -> None:
    driver, room = Driver(Policy(), limit=64), 16
    for number in range(1000):
        driver.accept(str(number))
    throttled = 0
    while not driver.queue.empty:
        while len(driver.running) > room:
            throttled += 1
            driver.answer(Throttled(next(reversed(driver.running))))
        if driver.running:
            driver.answer(Succeeded(next(iter(driver.running))))
        else:
            driver.pass_time(driver.wake or 0.0)
    assert len(driver.finished) == 1000
    assert throttled < 1000 / room + 64


def test_a_backoff_never_exceeds_five_minutes() -> None:
    assert [backoff(n) for n in (1, 2, 9, 10, 10_000)] == [1.0, 2.0, 256.0, 300.0, 300.0]


class Events(RuleBasedStateMachine):
    """Any order of arrivals, ends, pauses and restarts."""

    @initialize(
        retries=st.integers(0, 2),
        age=st.sampled_from([60.0, 100.0, 21_600.0]),
        limit=st.integers(1, 3),
    )
    def begin(self, retries: int, age: float, limit: int) -> None:
        self.policy = Policy(retries=retries, age=age)
        self.limit = limit
        self.driver = Driver(self.policy, limit)
        self.accepted = 0
        self.runs: Counter[str] = Counter()

    @rule(count=st.integers(1, 4))
    def accept(self, count: int) -> None:
        for _ in range(count):
            self.accepted += 1
            self.driver.accept(str(self.accepted))

    @rule(kind=st.sampled_from([Succeeded, Failed, Throttled, Blocked]), which=st.integers(0, 2))
    def end_one(self, kind: type[Succeeded], which: int) -> None:
        running = sorted(self.driver.running)
        if running:
            id = running[which % len(running)]
            if kind in (Succeeded, Failed):
                self.runs[id] += 1
            self.driver.answer(kind(id))

    @rule(seconds=st.floats(0, 400))
    def wait(self, seconds: float) -> None:
        self.driver.pass_time(self.driver.now + seconds)

    @rule()
    def restart(self) -> None:
        """A platform that was killed goes on with what it kept."""
        former = self.driver
        self.driver = Driver(self.policy, self.limit)
        self.driver.now = former.now
        self.driver.finished = former.finished
        for entry in former.kept.values():
            self.driver.kept[entry.id] = entry
            self.driver.feed(Accepted(entry))

    @invariant()
    def none_is_lost(self) -> None:
        here = {entry.id for entry in self.driver.queue.entries()}
        assert here | set(self.driver.finished) == {str(n + 1) for n in range(self.accepted)}
        assert not here & set(self.driver.finished)
        assert set(self.driver.kept) == here
        assert len(self.driver.running) <= self.limit

    @invariant()
    def what_waits_is_woken(self) -> None:
        waiting = {e.id for e in self.driver.queue.entries()} - set(self.driver.running)
        full = len(self.driver.running) >= self.driver.queue.window
        assert not waiting or self.driver.wake is not None or full

    def teardown(self) -> None:
        for _ in range(10_000):
            if self.driver.queue.empty:
                break
            for id in list(self.driver.running):
                self.driver.answer(Failed(id))
            self.driver.pass_time(self.driver.wake if self.driver.wake is not None else 0.0)
        assert len(self.driver.finished) == self.accepted
        for entry, condition in self.driver.finished.values():
            assert entry.failures <= self.policy.retries + 1
            if condition == "RetriesExhausted":
                assert entry.failures == self.policy.retries + 1


TestEvents = Events.TestCase
TestEvents.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 20), max_size=2),
)
def test_what_runs_is_within_every_limit(
    steps: list[tuple[str, bool]], reserved: dict[str, int]
) -> None:
    concurrency = Concurrency(account=130)
    reserved = {name: n for name, n in reserved.items() if concurrency.reserve(name, n)}
    running: Counter[str] = Counter()
    for name, begins in steps:
        if begins:
            throttle = concurrency.begin(name)
            full = running[name] >= reserved[name] if name in reserved else False
            assert (throttle == "reserved") == full
            if throttle is None:
                running[name] += 1
        elif running[name]:
            concurrency.end(name)
            running[name] -= 1


def test_ten_a_second_begin_for_each_that_is_reserved() -> None:
    concurrency = Concurrency(account=130)
    assert concurrency.reserve("a", 2)

    def begun(times: int, now: float | None) -> int:
        taken = 0
        for _ in range(times):
            if concurrency.begin("a", now) is None:
                concurrency.end("a")
                taken += 1
        return taken

    assert [begun(50, 0.0), begun(50, 0.25), begun(50, 60.0), begun(50, None)] == [20, 5, 20, 50]
    assert concurrency.begin("a", 60.0) == "reserved-rate"


def test_ten_a_second_begin_for_each_that_is_left_to_all() -> None:
    concurrency = Concurrency(account=102)
    assert concurrency.reserve("a", 2)
    for _ in range(1000):
        assert concurrency.begin("b", 0.0) is None
        concurrency.end("b")
    assert concurrency.begin("b", 0.0) == "rate"
    assert concurrency.begin("c", 0.0) is None
    assert concurrency.begin("b", 0.001) is None


def test_a_hundred_are_left_to_those_that_reserve_none() -> None:
    concurrency = Concurrency(account=110)
    assert not concurrency.reserve("a", 11)
    assert concurrency.reserve("a", 10)
    assert concurrency.unreserved == 100
    assert not concurrency.reserve("b", 1)
    assert concurrency.reserve("b", 0)
    assert concurrency.begin("b") == "reserved"
    assert concurrency.reserve("a", 5)
    assert [concurrency.begin("c") for _ in range(106)] == [None] * 105 + ["account"]
