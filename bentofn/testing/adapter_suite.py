"""What every adapter must do: a suite of tests to subclass.

An adapter's tests give it a world, the backend as the tests have it::

    class TestMoon(AdapterSuite):
        @pytest.fixture
        def world(self, tmp_path):
            return MoonWorld(tmp_path)

pytest then runs the tests below on it. See ``examples/adapter`` for a whole one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import logging
import re

import pytest

from bentofn._testing.applying import Apply, files_with, secretive
from bentofn._testing.world import Failing, Failure, InterruptedWorld, World
from bentofn.adapters.aws_words import OTHER_KEYS
from bentofn.adapters.capabilities import ANY_OTHER
from bentofn.adapters.fields import NAMES
from bentofn.adapters.load import Load
from bentofn.runtime.errors import UserError

__all__ = ["AdapterSuite", "Apply", "Failing", "Failure", "InterruptedWorld", "World"]

_VALUE = "hunter2-value-of-a-variable"
_SECRET = "hunter3-value-of-a-secret"
_VARIABLE = "BENTOFN_SUITE_SECRET"
_FAILURES = (UserError, InterruptedWorld)
_MOST_CALLS = 500
"""An apply of more calls than that goes round in a circle."""


class AdapterSuite:
    """Subclass it with a fixture ``world``."""

    @pytest.fixture
    def world(self) -> World:
        """The backend; each test has one of its own in which nothing is deployed."""
        raise NotImplementedError("Give the suite a fixture named world.")

    @pytest.fixture
    def apply(self, world: World) -> Apply:
        """Applies a revision with a new adapter."""
        return Apply(world)

    def test_its_table_has_every_field_and_says_why_it_refuses(self, world: World) -> None:
        """Each field is native, emulated, ignored or refused; none was forgotten."""
        adapter = world.adapter()
        table = adapter.capabilities
        assert table.target == adapter.name
        fields = [entry.field for entry in table.entries]
        assert len(fields) == len({*fields})
        assert {*NAMES} - {*fields} == set()
        assert {*fields} - {*NAMES, *OTHER_KEYS, ANY_OTHER} == set()
        unexplained = [
            entry.field for entry in table.entries if entry.support == "refused" and not entry.how
        ]
        assert unexplained == []

    def test_a_plan_changes_nothing(self, world: World, apply: Apply) -> None:
        """Neither before the first apply nor after it; and what it needs is installed."""
        world.adapter().check_installed()
        for _ in range(2):
            before, writes = world.resources(), world.writes()
            plans = [world.adapter().plan(world.spec(2), load=Load(0.01)) for _ in range(2)]
            assert plans[0] == plans[1]
            assert plans[0].ok
            assert plans[0].changes
            assert (world.resources(), world.writes()) == (before, writes)
            apply(1)

    def test_what_was_applied_differs_in_nothing(self, world: World, apply: Apply) -> None:
        """A plan of what is live says so."""
        apply(1)
        plan = world.adapter().plan(world.spec(1))
        assert plan.changes == ()
        assert all(upload.present for upload in plan.uploads)

    def test_applying_twice_changes_nothing(self, world: World, apply: Apply) -> None:
        """The second apply writes nothing and says so."""
        first = apply(1)
        before, writes = world.resources(), world.writes()
        second = apply(1)
        assert (first.changed, second.changed) == (True, False)
        assert second.version == first.version
        assert (world.resources(), world.writes()) == (before, writes)

    def test_a_new_version_takes_the_place_of_the_old_one(self, world: World, apply: Apply) -> None:
        """And the function answers as the spec says."""
        name = world.spec(1).name
        for revision in (1, 2):
            deployed = apply(revision)
            assert (deployed.name, deployed.changed) == (name, True)
            assert world.live() == revision
            (status,) = world.adapter().status(name)
            assert (status.name, status.version) == (name, deployed.version)
            if world.answers:
                reply = world.adapter().invoke(name, b"{}")
                assert (reply.status, json.loads(b"".join(reply.body))) == (200, revision)

    def test_a_failed_apply_leaves_the_old_version_live(self, world: World, apply: Apply) -> None:
        """Whichever call fails; the next apply succeeds, and destroy leaves nothing of either."""
        empty = world.resources()
        apply(1)
        revision = 1
        for failure in world.failures:
            for call in _calls(world, failure):
                with world.failing(call, failure) as failing:
                    outcome = apply.outcome(revision + 1)
                if not failing.call:
                    assert outcome == "applied"
                    revision += 1
                    break
                self._check_after(world, failing, failure, outcome, revision)
                revision += 1
                apply(revision)
                assert world.live() == revision, failing.call
            else:
                pytest.fail(f"An apply makes over {_MOST_CALLS} calls.")
        world.adapter().destroy(world.spec(1).name)
        assert world.resources() == empty

    def _check_after(
        self, world: World, failing: Failing, failure: Failure, outcome: str, old: int
    ) -> None:
        """What must hold right after an apply of the revision after ``old`` met a failure."""
        expected = {
            "applied": (old + 1,),
            "refused": (old,),
            "interrupted": (old, old + 1),  # the last calls may only clear up
        }[outcome]
        assert world.live() in expected, f"{failure} at {failing.call}: {outcome}"
        if failure == "throttled":
            assert outcome == "applied", f"{failing.call} is not tried again"

    def test_a_first_apply_that_failed_can_be_done_again_or_destroyed(
        self, world: World, apply: Apply
    ) -> None:
        """Whichever call fails, nothing of it is in the way or left."""
        name, empty = world.spec(1).name, world.resources()
        for failure, again in itertools.product(world.failures, (True, False)):
            for call in _calls(world, failure):
                if world.stride > 1 and again == bool(call // world.stride % 2):
                    continue  # in turns: the call is failed once, as every other
                with world.failing(call, failure) as failing:
                    outcome = apply.outcome(1)
                if outcome == "refused":
                    assert world.live() is None, failing.call
                if again or not failing.call:
                    apply(1)
                    assert world.live() == 1, failing.call
                with contextlib.suppress(UserError):  # there may be nothing
                    world.adapter().destroy(name)
                assert world.resources() == empty, f"{failure} at {failing.call}"
                if not failing.call:
                    break

    def test_a_destroy_that_failed_is_finished_by_the_next(
        self, world: World, apply: Apply
    ) -> None:
        """Whichever call fails."""
        name, empty = world.spec(1).name, world.resources()
        for failure in world.failures:
            for call in _calls(world, failure):
                apply(1)
                with world.failing(call, failure) as failing, contextlib.suppress(*_FAILURES):
                    world.adapter().destroy(name)
                with contextlib.suppress(UserError):  # there may be nothing left
                    world.adapter().destroy(name)
                assert world.resources() == empty, f"{failure} at {failing.call}"
                if not failing.call:
                    break

    def test_destroy_leaves_nothing(self, world: World, apply: Apply) -> None:
        """And whoever asks for the function then is told that there is none."""
        name, empty = world.spec(1).name, world.resources()
        apply(1)
        apply(2)
        world.adapter().destroy(name)
        assert world.resources() == empty
        assert world.live() is None
        assert world.adapter().status() == []
        for ask in (
            lambda: world.adapter().destroy(name),
            lambda: world.adapter().status(name),
            lambda: world.adapter().versions(name),
            lambda: world.adapter().rollback(name, None, world.report),
            lambda: world.adapter().promote(name, 1, 1.0, world.report),
            lambda: list(world.adapter().logs(name)),
            lambda: world.adapter().invoke(name, b"{}"),
        ):
            with pytest.raises(UserError, match=re.escape(name)):
                ask()

    def test_an_unknown_field_is_refused_before_anything_is_written(
        self, world: World, apply: Apply
    ) -> None:
        """With the sentence that the plan has."""
        spec = world.spec(1)
        aws = dataclasses.replace(spec.settings.aws, others={"notAField": True})
        spec = dataclasses.replace(spec, settings=dataclasses.replace(spec.settings, aws=aws))
        before, writes = world.resources(), world.writes()
        plan = world.adapter().plan(spec)
        assert not plan.ok
        (problem,) = (each for each in plan.problems if each.field == "notAField")
        assert problem.kind == "refused"
        with pytest.raises(UserError, match=re.escape(problem.sentence)):
            world.adapter().apply(spec, world.report)
        assert (world.resources(), world.writes()) == (before, writes)

    def test_requests_go_back_to_an_older_version(self, world: World, apply: Apply) -> None:
        """And forth again; a version that is not there is refused."""
        name = world.spec(1).name
        numbers = [apply(revision).version for revision in (1, 2, 3)]
        assert numbers == sorted(set(numbers))
        versions = world.adapter().versions(name)
        assert [each.number for each in versions if each.weight] == numbers[-1:]
        assert {*numbers} <= {each.number for each in versions}

        assert world.adapter().rollback(name, None, world.report).version == numbers[1]
        assert world.live() == 2
        assert world.adapter().rollback(name, numbers[0], world.report).changed
        assert world.live() == 1
        assert not world.adapter().rollback(name, numbers[0], world.report).changed
        assert world.adapter().promote(name, numbers[2], 1.0, world.report).changed
        assert world.live() == 3
        with pytest.raises(UserError, match=name):
            world.adapter().rollback(name, max(numbers) + 100, world.report)
        assert world.live() == 3

    def test_a_version_gets_a_share_of_the_requests(self, world: World, apply: Apply) -> None:
        """Where the target can do that; elsewhere it is refused."""
        name, adapter = world.spec(1).name, world.adapter()
        first, second = apply(1).version, apply(2).version
        if adapter.capabilities.of("promote").support == "refused":
            with pytest.raises(UserError, match=name):
                adapter.promote(name, first, 0.25, world.report)
            assert world.live() == 2
            return
        adapter.promote(name, first, 0.25, world.report)
        weights = {each.number: each.weight for each in world.adapter().versions(name)}
        assert (weights[first], weights[second]) == (0.25, 0.75)
        adapter.promote(name, first, 1.0, world.report)
        assert world.live() == 1

    def test_no_value_of_a_variable_or_secret_is_seen(
        self,
        world: World,
        apply: Apply,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Neither in plans, results and errors nor in what is logged; secrets are not kept."""
        caplog.set_level(logging.INFO)
        monkeypatch.setenv(_VARIABLE, _SECRET)
        spec = secretive(world, _VALUE, _VARIABLE)
        seen = [repr(spec), json.dumps(world.adapter().plan(spec).to_json())]
        for call in range(_MOST_CALLS):
            with world.failing(call, "denied") as failing:
                seen.append(repr(apply.of(spec, seen)))
            if not failing.call:
                break
        seen += [repr(world.adapter().plan(spec)), repr(world.adapter().status())]
        seen += [repr(world.adapter().versions(spec.name)), *capfd.readouterr(), caplog.text]
        assert [text for text in seen if _VALUE in text or _SECRET in text] == []
        assert list(files_with(world.home.path, _SECRET.encode())) == []


def _calls(world: World, failure: Failure) -> range:
    """Which calls meet a failure; see :attr:`World.stride`."""
    return range(world.failures.index(failure) % world.stride, _MOST_CALLS, world.stride)
