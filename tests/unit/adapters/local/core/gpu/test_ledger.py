from __future__ import annotations

from math import inf
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bentofn.adapters.local.core.gpu.ledger import PATIENCE, TOLD_AFTER, Ledger
from bentofn.adapters.local.core.gpu.messages import (
    Claim,
    Command,
    Event,
    Evict,
    Forgotten,
    Gone,
    Granted,
    Impossible,
    Seen,
    Tick,
    Waits,
    WakeAt,
    Wanted,
)

GIB = 1 << 30


def of(commands: list[Command], kind: type[Any]) -> list[Any]:
    return [each for each in commands if isinstance(each, kind)]


def learnt(ledger: Ledger, name: str, used: int, reserved: int = 0, now: float = 0.0) -> None:
    """It is known what instances of a function of its own need: the first has gone."""
    assert of(ledger.handle(Wanted(f"{name}0", Claim(f"f{name}")), now), Granted)
    ledger.handle(Gone(f"{name}0", used, reserved), now)


def running(ledger: Ledger, name: str, used: int | None = None, now: float = 0.0) -> None:
    """An instance of a function of its own, started and idle."""
    if used is not None:
        learnt(ledger, name, used, now=now)
    assert of(ledger.handle(Wanted(name, Claim(f"f{name}")), now), Granted)
    ledger.handle(Seen(name, idle=True), now)


def test_what_was_never_seen_has_a_gpu_for_itself_and_then_what_it_needs() -> None:
    ledger = Ledger({"0": 80 * GIB})
    assert ledger.handle(Wanted("a", Claim("fa")), 0.0) == [Granted("a", ("0",))]
    assert ledger.free("0") == 0
    assert ledger.handle(Wanted("b", Claim("fb")), 0.0) == [WakeAt(TOLD_AFTER)]
    # a is idle and makes room
    assert of(ledger.handle(Seen("a", idle=True), 0.5), Evict) == [Evict("a")]
    gone = ledger.handle(Gone("a", 20 * GIB), 1.0)
    assert of(gone, Granted) == [Granted("b", ("0",))]
    ledger.handle(Gone("b", 30 * GIB), 1.5)
    # now both are known, and fit
    for name in ("a", "b"):
        granted = ledger.handle(Wanted(name, Claim(f"f{name}")), 2.0)
        assert granted == [Granted(name, ("0",))]
    assert ledger.free("0") == 30 * GIB


def test_the_one_used_longest_ago_makes_room_and_no_more_than_needed() -> None:
    ledger = Ledger({"0": 80 * GIB})
    for name in ("a", "b", "c"):
        learnt(ledger, name, 20 * GIB)
    for name in ("a", "b", "c"):
        running(ledger, name)
    ledger.handle(Seen("a", idle=False), 1.0)
    ledger.handle(Seen("a", idle=True), 2.0)
    commands = ledger.handle(Wanted("d", Claim("fd", memory=40 * GIB)), 3.0)
    assert of(commands, Evict) == [Evict("b")]
    assert of(ledger.handle(Gone("b"), 4.0), Granted) == [Granted("d", ("0",))]


def test_busy_ones_are_let_be_until_somebody_has_waited() -> None:
    ledger = Ledger({"0": 80 * GIB})
    running(ledger, "a", 50 * GIB)
    ledger.handle(Seen("a", idle=False), 1.0)
    assert ledger.handle(Wanted("b", Claim("fb")), 1.0) == [WakeAt(1.0 + PATIENCE)]
    assert of(ledger.handle(Tick(), 1.0 + PATIENCE / 2), Evict) == []
    assert of(ledger.handle(Tick(), 1.0 + PATIENCE), Evict) == [Evict("a")]
    assert of(ledger.handle(Gone("a"), 9.0), Granted) == [Granted("b", ("0",))]


def test_who_waits_without_requests_evicts_nobody() -> None:
    ledger = Ledger({"0": 80 * GIB})
    running(ledger, "a", 50 * GIB)
    assert ledger.handle(Wanted("b", Claim("fb"), urgent=False), 1.0) == []
    assert ledger.handle(Tick(), 100.0) == []
    assert of(ledger.handle(Seen("b", urgent=True), 101.0), Evict) == [Evict("a")]


def test_an_instance_starts_where_what_is_kept_of_it_fits() -> None:
    ledger = Ledger({"0": 80 * GIB, "1": 80 * GIB})
    running(ledger, "a", 10 * GIB)
    running(ledger, "b", 10 * GIB)
    ledger.handle(Gone("b"), 1.0)
    assert ledger.handle(Wanted("b2", Claim("fb")), 2.0) == [Granted("b2", ("1",))]


def test_room_is_made_where_it_can_fit() -> None:
    ledger = Ledger({"0": 24 * GIB, "1": 80 * GIB})
    running(ledger, "a")
    assert ledger.holders["a"].gpus == ("1",)
    commands = ledger.handle(Wanted("b", Claim("fb", memory=40 * GIB)), 1.0)
    assert of(commands, Evict) == [Evict("a")]


def test_several_gpus_are_granted_at_once() -> None:
    ledger = Ledger({"0": 80 * GIB, "1": 80 * GIB})
    running(ledger, "a")
    commands = ledger.handle(Wanted("b", Claim("fb", count=2)), 1.0)
    assert of(commands, Evict) == [Evict("a")]
    assert of(ledger.handle(Gone("a"), 2.0), Granted) == [Granted("b", ("0", "1"))]


def test_what_can_never_fit_is_refused_with_a_sentence() -> None:
    ledger = Ledger({"0": 80 * GIB})
    (refused,) = ledger.handle(Wanted("a", Claim("fa", count=2)), 0.0)
    assert refused == Impossible("a", "It needs 2 GPUs and this machine has 1.")
    (refused,) = ledger.handle(Wanted("a", Claim("fa", memory=81 * GIB)), 0.0)
    assert isinstance(refused, Impossible)


def test_what_a_framework_had_at_most_is_what_the_next_instance_gets() -> None:
    ledger = Ledger({"0": 80 * GIB})
    learnt(ledger, "a", 11 * GIB, 10 * GIB)
    running(ledger, "a")
    ledger.handle(Gone("a", 70 * GIB, 30 * GIB), 2.0)  # others were there too
    ledger.handle(Wanted("a2", Claim("fa")), 3.0)
    assert ledger.free("0") == 80 * GIB - 31 * GIB


def test_who_waits_for_busy_ones_is_told_so_once_and_when_it_has_waited() -> None:
    ledger = Ledger({"0": 80 * GIB})
    running(ledger, "a", 50 * GIB)
    ledger.handle(Seen("a", idle=False), 1.0)
    ledger.handle(Wanted("b", Claim("fb")), 1.0)
    assert ledger.handle(Tick(), 1.0 + PATIENCE) == [Evict("a"), WakeAt(1.0 + TOLD_AFTER)]
    assert ledger.handle(Tick(), 1.0 + TOLD_AFTER) == [Waits("b", ("a",))]
    assert ledger.handle(Tick(), 99.0) == []


def test_somebody_who_waits_without_requests_is_patient_from_the_first_request_on() -> None:
    ledger = Ledger({"0": 80 * GIB})
    running(ledger, "a", 50 * GIB)
    ledger.handle(Seen("a", idle=False), 1.0)
    ledger.handle(Wanted("b", Claim("fb"), urgent=False), 1.0)
    assert ledger.handle(Seen("b", urgent=True), 100.0) == [WakeAt(100.0 + PATIENCE)]
    assert of(ledger.handle(Tick(), 100.0 + PATIENCE), Evict) == [Evict("a")]


def test_what_a_version_needed_says_nothing_of_what_comes_after_it() -> None:
    ledger = Ledger({"0": 80 * GIB})
    learnt(ledger, "a", 20 * GIB)
    ledger.handle(Forgotten("fa"), 1.0)
    running(ledger, "a")
    assert ledger.free("0") == 0


def test_a_part_that_was_asked_for_stays_what_it_is() -> None:
    ledger = Ledger({"0": 80 * GIB})
    claim = Claim("f", memory=40 * GIB)
    for name in ("a", "b"):
        ledger.handle(Wanted(name, claim), 0.0)
    ledger.handle(Gone("a", 70 * GIB, 30 * GIB), 1.0)  # b is there too
    assert ledger.handle(Wanted("a2", claim), 2.0) == [Granted("a2", ("0",))]


def test_a_further_instance_of_a_function_has_none_of_its_own_go() -> None:
    ledger = Ledger({"0": 80 * GIB})
    learnt(ledger, "a", 50 * GIB)
    ledger.handle(Wanted("a1", Claim("fa")), 1.0)
    ledger.handle(Seen("a1"), 1.0)
    ledger.handle(Wanted("a2", Claim("fa")), 1.0)
    for seconds in range(2, 99):
        commands = ledger.handle(Tick(), float(seconds))
        assert of(commands, Evict) == of(commands, Waits) == []
    # nor does it keep others from what there is, or from a turn
    assert ledger.handle(Wanted("b", Claim("fb", memory=20 * GIB)), 99.0)[0] == Granted("b", ("0",))
    ledger.handle(Seen("b", idle=True), 100.0)
    ledger.handle(Wanted("c", Claim("fc", memory=80 * GIB)), 100.0)
    assert of(ledger.handle(Tick(), 100.0 + PATIENCE), Evict) == [Evict("b"), Evict("a1")]
    ledger.handle(Gone("b"), 103.0)
    assert of(ledger.handle(Gone("a1"), 103.0), Granted) == [Granted("c", ("0",))]
    ledger.handle(Seen("c"), 103.0)
    assert of(ledger.handle(Tick(), 103.0 + PATIENCE), Evict) == [Evict("c")]
    assert of(ledger.handle(Gone("c"), 106.0), Granted) == [Granted("a2", ("0",))]


def test_a_busy_one_serves_for_a_while_however_long_others_have_waited_while_it_started() -> None:
    ledger = Ledger({"0": 80 * GIB})
    ledger.handle(Wanted("a", Claim("fa")), 0.0)
    ledger.handle(Wanted("b", Claim("fb")), 0.0)
    assert of(ledger.handle(Tick(), 9.0), Evict) == []
    assert ledger.handle(Seen("a"), 9.5)[-1] == WakeAt(TOLD_AFTER)
    assert ledger.handle(Tick(), TOLD_AFTER) == [Waits("b", ("a",)), WakeAt(9.5 + PATIENCE)]
    assert of(ledger.handle(Tick(), 9.5 + PATIENCE), Evict) == [Evict("a")]


def test_one_that_serves_no_more_is_waited_for_and_not_told_to_go_nor_of() -> None:
    ledger = Ledger({"0": 80 * GIB, "1": 80 * GIB})
    for name in ("a", "b"):
        running(ledger, name)
    ledger.handle(Seen("b", idle=False, serves=False), 1.0)
    for seconds in range(2, 20):
        commands = ledger.handle(Wanted("c", Claim("fc")) if seconds == 2 else Tick(), seconds)
        assert of(commands, Evict) == of(commands, Waits) == []
    assert of(ledger.handle(Gone("b"), 20.0), Granted) == [Granted("c", ("1",))]


def test_who_could_not_start_for_its_own_function_has_nobody_go_elsewhere() -> None:
    ledger = Ledger({"0": 80 * GIB, "1": 80 * GIB, "2": 80 * GIB})
    ledger.handle(Wanted("a1", Claim("fa", count=2)), 0.0)
    ledger.handle(Wanted("b", Claim("fb")), 0.0)
    ledger.handle(Seen("b", idle=True), 0.0)
    assert of(ledger.handle(Wanted("a2", Claim("fa", count=2)), 1.0), Evict) == []


class Turns(RuleBasedStateMachine):
    """Functions that come, serve and go at random; what is told to go does, later.

    A checkpoint or a restore that fails, and a process, a controller or a platform that is killed,
    are all an instance that goes without having been told to.
    """

    @initialize(
        totals=st.lists(st.integers(4, 16), min_size=1, max_size=3),
        claims=st.lists(
            st.tuples(st.integers(1, 3), st.none() | st.integers(1, 16)), min_size=4, max_size=4
        ),
    )
    def machine(self, totals: list[int], claims: list[tuple[int, int | None]]) -> None:
        self.claims = [Claim(f"f{number}", *each) for number, each in enumerate(claims)]
        self.ledger = Ledger({str(number): total for number, total in enumerate(totals)})
        self.now = 0.0
        self.names = 0
        self.kinds: dict[str, str] = {}
        self.has: dict[str, tuple[str, ...]] = {}
        self.waits: list[str] = []
        self.urgent: set[str] = set()
        self.busy: set[str] = set()
        self.going: set[str] = set()
        self.told: set[str] = set()
        self.serves_since: dict[str, float] = {}
        self.done: set[str] = set()

    def feed(self, event: Event) -> None:
        for command in self.ledger.handle(event, self.now):
            if isinstance(command, Granted):
                self.check_order(command.instance)
                self.waits.remove(command.instance)
                self.has[command.instance] = command.gpus
                self.busy.add(command.instance)  # it starts
                assert len(set(command.gpus)) == self.ledger.holders[command.instance].claim.count
            elif isinstance(command, Evict):
                assert command.instance in self.has
                assert command.instance not in self.going, "told twice"
                if command.instance in self.busy:
                    oldest = min(self.ledger.holders[name].since for name in self.urgent_waiting())
                    since = max(oldest, self.serves_since[command.instance])
                    assert self.now >= since + PATIENCE, "a busy one was not let be"
                self.going.add(command.instance)
                self.queue_anew(command.instance)
            elif isinstance(command, Waits):
                assert command.instance in self.urgent_waiting()
                assert command.instance not in self.told, "told twice"
                assert self.now >= self.ledger.holders[command.instance].since + TOLD_AFTER
                assert set(command.others) <= self.busy - self.done
                self.told.add(command.instance)
            elif isinstance(command, Impossible):
                self.waits.remove(command.instance)
        self.busy &= set(self.has)
        self.check_first()

    def queue_anew(self, evicted: str) -> None:
        """Those of a function that had its turn come after the others."""
        self.waits.sort(key=lambda name: self.kinds[name] == self.kinds[evicted])

    def is_behind_its_own(self, name: str) -> bool:
        return self.kinds[name] in {self.kinds[each] for each in self.has.keys() - self.going}

    def check_order(self, granted: str) -> None:
        """On one GPU nobody with requests is overtaken, and the others are by all with some."""
        if len(self.ledger.gpus) == 1:
            earlier = self.waits[: self.waits.index(granted)]
            before = self.urgent & set(earlier if granted in self.urgent else self.waits)
            assert all(self.is_behind_its_own(name) for name in before), "overtaken"

    def check_first(self) -> None:
        """The first who waits with requests waits for busy ones, or who were told to go."""
        first = self.urgent_waiting()[:1]
        if first and not self.going and not self.is_behind_its_own(first[0]):
            assert self.busy, "it waits for idle ones that nobody tells to go"
            since = self.ledger.holders[first[0]].since
            assert any(
                self.now < max(since, self.serves_since.get(name, inf)) + PATIENCE
                for name in self.busy
            ), "it waits for busy ones that nobody tells to go"

    def urgent_waiting(self) -> list[str]:
        return [name for name in self.waits if name in self.urgent]

    @rule(
        function=st.integers(0, 3),
        urgent=st.booleans(),
    )
    def wanted(self, function: int, urgent: bool) -> None:
        self.names += 1
        name = f"i{self.names}"
        self.waits.append(name)
        self.kinds[name] = self.claims[function].kind
        if urgent:
            self.urgent.add(name)
        self.feed(Wanted(name, self.claims[function], urgent))

    @precondition(lambda self: self.waits)
    @rule(data=st.data(), urgent=st.booleans())
    def urged(self, data: st.DataObject, urgent: bool) -> None:
        name = data.draw(st.sampled_from(self.waits))
        (self.urgent.add if urgent else self.urgent.discard)(name)
        self.feed(Seen(name, idle=False, urgent=urgent))

    @rule(function=st.integers(0, 3))
    def forgotten(self, function: int) -> None:
        if not any(each.claim.kind == f"f{function}" for each in self.ledger.holders.values()):
            self.feed(Forgotten(f"f{function}"))

    @precondition(lambda self: self.has)
    @rule(data=st.data(), idle=st.booleans())
    def used(self, data: st.DataObject, idle: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.has)))
        if name in self.done or (name in self.going and not idle):
            return  # it gets no more requests
        self.serve(name, idle=idle)

    def serve(self, name: str, *, idle: bool) -> None:
        self.serves_since.setdefault(name, self.now)
        (self.busy.discard if idle else self.busy.add)(name)
        self.feed(Seen(name, idle=idle))

    @precondition(lambda self: self.serves_since)
    @rule(data=st.data())
    def stops(self, data: st.DataObject) -> None:
        """It goes by itself, and has its memory for a while yet."""
        name = data.draw(st.sampled_from(sorted(self.serves_since)))
        for known in (self.busy, self.going, self.done):
            known.add(name)
        self.feed(Seen(name, idle=False, serves=False))

    @precondition(lambda self: self.has)
    @rule(data=st.data(), share=st.floats(0, 1), reserved=st.integers(0, 20))
    def gone_and_seen(self, data: st.DataObject, share: float, reserved: int) -> None:
        """It goes, and says what its framework had at most: it may be more than was thought."""
        name = data.draw(st.sampled_from(sorted(self.has)))
        self.end(name, int(16 * share), reserved)

    @precondition(lambda self: self.has or self.waits)
    @rule(data=st.data())
    def gone(self, data: st.DataObject) -> None:
        self.end(data.draw(st.sampled_from(sorted([*self.has, *self.waits]))))

    @rule(seconds=st.floats(0, 3))
    def time(self, seconds: float) -> None:
        self.now += seconds
        self.feed(Tick())

    def end(self, name: str, used: int | None = None, reserved: int = 0) -> None:
        self.has.pop(name, None)
        if name in self.waits:
            self.waits.remove(name)
        self.going.discard(name)
        self.busy.discard(name)
        self.done.discard(name)
        self.serves_since.pop(name, None)
        self.feed(Gone(name, used, reserved))

    @invariant()
    def never_more_than_there_is(self) -> None:
        for gpu in getattr(self, "ledger", Ledger({})).gpus:
            assert self.ledger.free(gpu) >= 0

    def teardown(self) -> None:
        """Where what is asked to go does, everybody who waits with requests has a turn."""
        for _ in range(20 * (self.names + 1) if hasattr(self, "names") else 0):
            first = self.urgent_waiting()[:1]
            if not first:
                return
            for name in sorted(self.has.keys() - self.serves_since.keys()):
                self.serve(name, idle=name not in self.busy)
            self.now += PATIENCE
            for name in sorted(self.has.keys() - self.going):  # nobody asks any more
                if self.kinds[name] == self.kinds[first[0]]:
                    self.end(name)
            self.feed(Tick())
            assert first[0] not in self.waits or self.going, "nobody goes for who waits"
            for name in sorted(self.going):
                self.end(name)
        assert not getattr(self, "waits", []) or not self.urgent_waiting(), "starved"


Turns.TestCase.settings = settings(deadline=None, max_examples=300, stateful_step_count=40)
TestTurns = Turns.TestCase
