"""The pool under every order of events: nothing lost, nothing twice, never over the limits."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bentofn.adapters.local.core.constants import profile_names
from bentofn.adapters.local.core.messages import (
    Command,
    Dispatch,
    Drain,
    Event,
    InstanceExited,
    InstanceFailed,
    InstanceLost,
    InstanceReady,
    InstanceUnwanted,
    InstanceWanted,
    Refuse,
    RequestArrived,
    RequestCancelled,
    RequestFinished,
    RequestTimedOut,
    StartInstance,
    StopInstance,
    Tick,
    WakeAt,
)
from bentofn.adapters.local.core.overflow import OverflowRules
from bentofn.adapters.local.core.pool import Pool
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.local.core.rules import PoolRules
from bentofn.adapters.protocol import FunctionSettings
from bentofn.runtime.manifest import ServiceContract


def rules(**changes: object) -> PoolRules:
    usual = {
        "concurrency": 2,
        "min_instances": 0,
        "max_instances": 3,
        "overflow": OverflowRules(queue_limit=5),
        "idle_timeout": 60.0,
        "start_attempts": 3,
        "start_backoff": 0.2,
        "start_hold": 30.0,
    }
    return PoolRules(**{**usual, **changes})  # type: ignore[arg-type]


def kinds(commands: list[Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


CONTRACT = ServiceContract("s", "service:S")
LONG = 4000.0
"""Seconds in which every rule has let go what nobody asks for."""


class World(RuleBasedStateMachine):
    """Plays the shell: obeys commands late and in any order, and keeps its own books."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.requests = 0
        self.waiting: set[int] = set()
        self.running: dict[int, str] = {}
        self.starting: set[str] = set()
        self.ready: set[str] = set()
        self.stopping: set[str] = set()
        self.keeping: set[str] = set()
        self.parking: set[str] = set()
        self.yielding: set[str] = set()
        self.lost = ""
        self.wake_at: float | None = None

    @initialize(
        profile=st.sampled_from(profile_names()),
        concurrency=st.integers(1, 4),
        minimum=st.integers(0, 2),
        maximum=st.integers(1, 4),
        queue_limit=st.integers(0, 6),
    )
    def make(
        self, profile: str, concurrency: int, minimum: int, maximum: int, queue_limit: int
    ) -> None:
        usual = load_profile(profile).pool_rules(FunctionSettings(), CONTRACT)
        self.limits = replace(
            usual,
            concurrency=concurrency,
            min_instances=min(minimum, maximum),
            max_instances=maximum,
            overflow=replace(usual.overflow, queue_limit=queue_limit),
        )
        self.pool = Pool(self.limits, "i")
        self.send(Tick())

    def send(self, event: Event) -> None:
        for command in self.pool.handle(event, self.now):
            self.obey(command)

    def obey(self, command: Command) -> None:
        match command:
            case StartInstance(instance):
                assert instance not in self.starting | self.ready | self.stopping
                self.starting.add(instance)
            case StopInstance(instance, keep):
                assert instance in self.starting | self.ready
                assert instance not in self.running.values() or instance == self.lost
                self.starting.discard(instance)
                self.ready.discard(instance)
                self.stopping.add(instance)
                if keep:
                    assert instance in self.keeping
                    assert instance in self.yielding or not self.starting | self.ready
                    self.parking.add(instance)
            case Dispatch(request, instance):
                assert request in self.waiting
                assert instance in self.ready
                self.waiting.remove(request)
                self.running[request] = instance
                busy = sum(1 for name in self.running.values() if name == instance)
                assert busy <= self.limits.concurrency
            case Refuse(request):
                assert request in self.waiting or request in self.running
                self.waiting.discard(request)
                self.running.pop(request, None)
            case WakeAt(time):
                assert time > self.now
                self.wake_at = time

    @rule(count=st.integers(1, 5))
    def arrive(self, count: int) -> None:
        for _ in range(count):
            self.requests += 1
            self.waiting.add(self.requests)
            self.send(RequestArrived(self.requests))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[request]
        self.send(RequestFinished(request))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def time_out(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[request]
        self.send(RequestTimedOut(request))

    @precondition(lambda self: self.running or self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted({*self.running, *self.waiting})))
        self.running.pop(request, None)
        self.waiting.discard(request)
        self.send(RequestCancelled(request))

    @precondition(lambda self: self.starting)
    @rule(data=st.data(), works=st.booleans(), keeps=st.booleans(), sleeps=st.booleans())
    def start(self, data: st.DataObject, works: bool, keeps: bool, sleeps: bool) -> None:
        instance = data.draw(st.sampled_from(sorted(self.starting)))
        self.starting.remove(instance)
        if works:
            self.ready.add(instance)
            if keeps or sleeps:
                self.keeping.add(instance)
            self.send(InstanceReady(instance, keeps, sleeps=sleeps))
        else:
            self.send(InstanceFailed(instance, "it does not import"))

    @precondition(lambda self: self.ready or self.stopping)
    @rule(data=st.data())
    def exit(self, data: st.DataObject) -> None:
        instance = data.draw(st.sampled_from(sorted(self.ready | self.stopping)))
        self.ready.discard(instance)
        self.stopping.discard(instance)
        self.parking.discard(instance)
        self.send(InstanceExited(instance, "killed by signal 9"))
        assert instance not in self.running.values()

    @precondition(lambda self: self.ready)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.lost = data.draw(st.sampled_from(sorted(self.ready)))
        self.send(InstanceLost(self.lost))
        assert self.lost in self.stopping

    @precondition(lambda self: self.starting or self.ready)
    @rule(data=st.data())
    def want_back(self, data: st.DataObject) -> None:
        instance = data.draw(st.sampled_from(sorted(self.starting | self.ready)))
        self.yielding.add(instance)
        self.send(InstanceUnwanted(instance))
        assert instance in self.stopping | self.starting | set(self.running.values())

    @rule(seconds=st.floats(0.01, 120.0))
    def pass_time(self, seconds: float) -> None:
        self.advance(self.now + seconds)

    @rule()
    def want(self) -> None:
        self.send(InstanceWanted())
        stopping = self.stopping - self.parking
        assert self.starting or self.ready or len(stopping) == self.limits.max_instances

    def advance(self, until: float) -> None:
        while self.wake_at is not None and self.wake_at <= until:
            self.now, self.wake_at = self.wake_at, None
            self.send(Tick())
        self.now = until

    @invariant()
    def within_limits(self) -> None:
        if self.requests == 0 and not hasattr(self, "limits"):
            return
        running = self.starting | self.ready | self.stopping
        assert len(self.parking - self.yielding) <= 1
        assert len(running) <= self.limits.max_instances + len(self.parking)
        if self.limits.overflow.counts == "all":
            assert len(self.waiting) <= self.limits.overflow.queue_limit
        assert self.pool.queued == len(self.waiting)

    def settle(self) -> None:
        """Let everything that was begun end well, with time passing as the pool asks for it."""
        while self.starting or self.stopping or self.waiting or self.running:
            for instance in sorted(self.stopping):
                self.stopping.discard(instance)
                self.parking.discard(instance)
                self.send(InstanceExited(instance, "stopped"))
            for instance in sorted(self.starting):
                self.starting.discard(instance)
                self.ready.add(instance)
                self.send(InstanceReady(instance))
            for request in sorted(self.running):
                del self.running[request]
                self.send(RequestFinished(request))
            if self.waiting and not (self.starting or self.stopping or self.running):
                assert self.wake_at is not None, "requests wait for nothing"
                self.advance(self.wake_at)

    def teardown(self) -> None:
        if not hasattr(self, "limits"):
            return
        self.settle()
        for _ in range(self.limits.max_instances + 2):
            self.advance(self.now + LONG)
            self.settle()
        assert len(self.ready) == self.limits.min_instances
        self.send(Drain())
        self.settle()
        assert self.pool.empty


World.TestCase.settings = settings(max_examples=500, stateful_step_count=40)
TestWorld = World.TestCase


def test_requests_that_come_during_a_start_share_it() -> None:
    pool = Pool(rules(), "i")
    assert kinds(pool.handle(RequestArrived(1), 0.0)) == ["StartInstance"]
    assert pool.handle(RequestArrived(2), 0.1) == []
    assert pool.handle(InstanceReady("i1"), 1.0) == [
        Dispatch(1, "i1", started=True),
        Dispatch(2, "i1", started=True),
    ]


def test_one_more_than_fits_starts_another_instance() -> None:
    pool = Pool(rules(), "i")
    started = [pool.handle(RequestArrived(n), 0.0) for n in range(5)]
    assert [kinds(commands) for commands in started] == [
        ["StartInstance"],
        [],
        ["StartInstance"],
        [],
        ["StartInstance"],
    ]


def test_a_warm_instance_answers_without_a_start() -> None:
    pool = Pool(rules(), "i")
    pool.handle(InstanceWanted(), 0.0)
    pool.handle(InstanceReady("i1"), 1.0)
    assert pool.handle(RequestArrived(1), 2.0) == [Dispatch(1, "i1", started=False)]


def test_the_instance_used_last_is_preferred_and_the_others_go() -> None:
    pool = Pool(rules(concurrency=1), "i")
    pool.handle(RequestArrived(1), 0.0)
    pool.handle(RequestArrived(2), 0.0)
    pool.handle(InstanceReady("i1"), 1.0)
    pool.handle(InstanceReady("i2"), 1.0)
    pool.handle(RequestFinished(1), 2.0)
    pool.handle(RequestFinished(2), 2.0)
    assert pool.handle(RequestArrived(3), 50.0)[0] == Dispatch(3, "i2", started=False)
    assert StopInstance("i1") in pool.handle(Tick(), 62.0)
    assert [i.id for i in pool.instances.values() if i.state == "ready"] == ["i2"]


def test_the_last_instance_that_served_may_be_kept_when_it_becomes_idle() -> None:
    pool = Pool(rules(concurrency=1), "i")
    for request in (1, 2):
        pool.handle(RequestArrived(request), 0.0)
    pool.handle(InstanceReady("i1", keeps=True), 1.0)
    pool.handle(InstanceReady("i2", keeps=True), 1.0)
    for request in (1, 2):
        pool.handle(RequestFinished(request), 2.0)
    assert pool.handle(Tick(), 62.0) == [StopInstance("i1"), StopInstance("i2", keep=True)]


def test_a_request_does_not_wait_for_an_instance_that_is_being_kept() -> None:
    pool = Pool(rules(max_instances=1), "i")
    pool.handle(RequestArrived(1), 0.0)
    pool.handle(InstanceReady("i1", keeps=True), 1.0)
    pool.handle(RequestFinished(1), 2.0)
    assert pool.handle(Tick(), 62.0) == [StopInstance("i1", keep=True)]
    assert pool.handle(RequestArrived(2), 62.1) == [StartInstance("i2")]
    assert pool.handle(InstanceReady("i2"), 62.2)[0] == Dispatch(2, "i2", started=True)
    assert pool.handle(InstanceExited("i1", "stopped"), 63.0) == []


def test_an_instance_that_never_served_is_not_kept() -> None:
    pool = Pool(rules(), "i")
    pool.handle(InstanceWanted(), 0.0)
    pool.handle(InstanceReady("i1", keeps=True), 1.0)
    assert pool.handle(Tick(), 61.0) == [StopInstance("i1")]


def test_one_that_can_sleep_does_though_it_never_served() -> None:
    pool = Pool(rules(), "i")
    pool.handle(InstanceWanted(), 0.0)
    pool.handle(InstanceReady("i1", sleeps=True), 1.0)
    assert pool.handle(Tick(), 61.0) == [StopInstance("i1", keep=True)]


def test_an_idle_one_that_others_need_to_go_sleeps_at_once() -> None:
    pool = Pool(rules(), "i")
    pool.handle(InstanceWanted(), 0.0)
    pool.handle(InstanceReady("i1", sleeps=True), 1.0)
    assert StopInstance("i1", keep=True) in pool.handle(InstanceUnwanted("i1"), 2.0)


def test_a_busy_one_that_others_need_to_go_finishes_and_sleeps() -> None:
    pool = Pool(rules(max_instances=1), "i")
    pool.handle(RequestArrived(1), 0.0)
    pool.handle(InstanceReady("i1", sleeps=True), 1.0)
    assert pool.handle(InstanceUnwanted("i1"), 2.0) == []
    assert pool.handle(RequestArrived(2), 3.0) == []  # it gets no more
    assert pool.handle(RequestFinished(1), 4.0)[0] == StopInstance("i1", keep=True)


def test_a_starting_one_that_others_need_to_go_answers_what_waits_before() -> None:
    pool = Pool(rules(), "i")
    pool.handle(RequestArrived(1), 0.0)
    assert pool.handle(InstanceUnwanted("i1"), 0.5) == []
    assert pool.handle(InstanceReady("i1", sleeps=True), 1.0) == [Dispatch(1, "i1", started=True)]
    assert pool.handle(RequestFinished(1), 2.0)[0] == StopInstance("i1", keep=True)


def test_while_one_is_being_kept_there_is_one_more_than_the_limit_and_no_other_is_kept() -> None:
    pool = Pool(rules(max_instances=1), "i")
    now = 0.0
    for name in ("i1", "i2"):
        assert pool.handle(RequestArrived(int(now)), now) == [StartInstance(name)]
        pool.handle(InstanceReady(name, keeps=True), now)
        pool.handle(RequestFinished(int(now)), now)
        now += 61.0
        keep = name == "i1"
        assert pool.handle(Tick(), now) == [StopInstance(name, keep=keep)]
    assert pool.handle(RequestArrived(9), now) == []
    assert pool.handle(InstanceExited("i2", "stopped"), now) == [StartInstance("i3")]


def test_an_instance_that_cannot_be_kept_counts_until_it_has_ended() -> None:
    pool = Pool(rules(max_instances=1), "i")
    pool.handle(RequestArrived(1), 0.0)
    pool.handle(InstanceReady("i1"), 1.0)
    pool.handle(RequestFinished(1), 2.0)
    assert pool.handle(Tick(), 62.0) == [StopInstance("i1")]
    assert pool.handle(RequestArrived(2), 62.1) == []
    assert pool.handle(InstanceExited("i1", "stopped"), 63.0) == [StartInstance("i2")]


def test_a_start_that_keeps_failing_ends_the_wait_with_its_sentence() -> None:
    pool = Pool(rules(), "i")
    pool.handle(RequestArrived(1), 0.0)
    now, starts = 0.0, 1
    for attempt in (1, 2):
        commands = pool.handle(InstanceFailed(f"i{attempt}", "no module named x"), now)
        (wake,) = commands
        assert isinstance(wake, WakeAt)
        now = wake.time
        starts += kinds(pool.handle(Tick(), now)).count("StartInstance")
    assert starts == 3
    assert pool.handle(InstanceFailed("i3", "no module named x"), now) == [
        Refuse(1, 503, "no module named x")
    ]
    assert kinds(pool.handle(RequestArrived(2), now + 1)) == ["StartInstance"]


def test_a_crash_answers_its_requests_and_the_waiting_ones_get_a_new_instance() -> None:
    pool = Pool(rules(concurrency=1, max_instances=1), "i")
    pool.handle(RequestArrived(1), 0.0)
    pool.handle(InstanceReady("i1"), 1.0)
    pool.handle(RequestArrived(2), 1.0)
    assert pool.handle(InstanceExited("i1", "killed by signal 9"), 2.0) == [
        Refuse(1, 502, "killed by signal 9"),
        StartInstance("i2"),
    ]


def test_a_dead_instance_gets_no_more_requests() -> None:
    pool = Pool(rules(concurrency=1), "i")
    pool.handle(RequestArrived(1), 0.0)
    pool.handle(InstanceReady("i1"), 1.0)
    assert pool.handle(InstanceLost("i1"), 2.0) == [StopInstance("i1")]
    pool.handle(RequestFinished(1), 2.0)
    assert pool.handle(RequestArrived(2), 2.0) == [StartInstance("i2")]


def test_an_instance_that_does_not_answer_in_time_finishes_what_it_has_and_goes() -> None:
    pool = Pool(rules(max_instances=2), "i")
    pool.handle(RequestArrived(1), 0.0)
    pool.handle(InstanceReady("i1"), 1.0)
    pool.handle(RequestArrived(2), 1.0)
    pool.handle(RequestTimedOut(1), 9.0)
    assert pool.handle(RequestArrived(3), 9.0) == [StartInstance("i2")]
    assert pool.handle(InstanceReady("i2"), 9.5)[0] == Dispatch(3, "i2", True)
    assert pool.handle(RequestFinished(2), 10.0)[0] == StopInstance("i1")


def test_reserved_concurrency_of_zero_refuses() -> None:
    pool = Pool(rules(max_instances=0), "i")
    (refusal,) = pool.handle(RequestArrived(1), 0.0)
    assert isinstance(refusal, Refuse)
    assert refusal.status == 429


def test_a_draining_pool_serves_what_waits_and_nothing_else() -> None:
    pool = Pool(rules(), "i")
    pool.handle(RequestArrived(1), 0.0)
    assert pool.handle(Drain(), 0.1) == []
    assert kinds(pool.handle(RequestArrived(2), 0.2)) == ["Refuse"]
    assert kinds(pool.handle(InstanceReady("i1"), 1.0)) == ["Dispatch"]
    assert pool.handle(RequestFinished(1), 2.0) == [StopInstance("i1")]
    pool.handle(InstanceExited("i1", "stopped"), 3.0)
    assert pool.empty
