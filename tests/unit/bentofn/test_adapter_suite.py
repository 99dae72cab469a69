"""The suite of adapters: a right one passes it, and each way to be wrong is noticed."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import memory_target as wrong
import pytest

from bentofn.testing.adapter_suite import AdapterSuite, Apply, World


class TestMemory(AdapterSuite):
    """A right adapter passes everything."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return wrong.MemoryWorld(tmp_path)


@pytest.mark.parametrize(
    ("kind", "noticed_by"),
    [
        (wrong.WritesWhilePlanning, "test_a_plan_changes_nothing"),
        (wrong.AppliesAlways, "test_applying_twice_changes_nothing"),
        (wrong.SwitchesFirst, "test_a_failed_apply_leaves_the_old_version_live"),
        (wrong.LeavesUploads, "test_destroy_leaves_nothing"),
        (wrong.LeavesUploads, "test_a_first_apply_that_failed_can_be_done_again_or_destroyed"),
        (wrong.ForgetsTheVersions, "test_destroy_leaves_nothing"),
        (wrong.ForgetsTheVersions, "test_a_destroy_that_failed_is_finished_by_the_next"),
        (wrong.RefusesLate, "test_an_unknown_field_is_refused_before_anything_is_written"),
        (wrong.TellsValues, "test_no_value_of_a_variable_or_secret_is_seen"),
        (wrong.RollsNothingBack, "test_requests_go_back_to_an_older_version"),
        (wrong.ForgetsAField, "test_its_table_has_every_field_and_says_why_it_refuses"),
    ],
)
def test_a_wrong_adapter_is_noticed(
    kind: type[wrong.MemoryAdapter],
    noticed_by: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    world = wrong.MemoryWorld(tmp_path, kind)
    test = getattr(AdapterSuite(), noticed_by)
    given: dict[str, Any] = {"world": world, "apply": Apply(world)}
    for name in inspect.signature(test).parameters:
        if name not in given:
            given[name] = request.getfixturevalue(name)
    with pytest.raises(AssertionError):
        test(**{name: given[name] for name in inspect.signature(test).parameters})
