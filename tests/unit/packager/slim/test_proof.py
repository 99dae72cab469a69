"""When two answers count as the same."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.environment.target import find_target
from bentofn.packager.home import Home
from bentofn.packager.slim.proof import Outcome, Trial, equal, prove

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_everything_equals_itself(value: object) -> None:
    assert equal(value, value)


@given(json_values, json_values)
def test_order_does_not_matter(first: object, second: object) -> None:
    assert equal(first, second) is equal(second, first)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (1.0, 1.000001, True),
        (1e6, 1e6 + 1, True),
        (1.0, 1.001, False),
        (0.0, 1e-6, True),
        (1, 1.0, True),
        (True, 1, False),
        (math.nan, math.nan, True),
        (math.nan, 1.0, False),
        (10**400, 10**400 + 1, False),
        ([1, {"a": 2.0}], [1, {"a": 2.0000001}], True),
        ([1], [1, 2], False),
        ({"a": 1}, {"b": 1}, False),
        ("a", "b", False),
        (None, 0, False),
    ],
)
def test_equality(first: object, second: object, same: bool) -> None:
    assert equal(first, second) is same


class OnOneGpu(Trial):
    """A service whose model fits on the GPU once; it has not all of it yet while it starts."""

    gpu = threading.Lock()

    def run(self, root: Path, *options: str) -> Outcome:
        if not self.gpu.acquire(blocking=False):
            return Outcome(None, "CUDA out of memory")
        try:
            threading.Event().wait(0.05)
            return Outcome(())
        finally:
            self.gpu.release()


def test_a_gpu_that_holds_the_model_once_is_no_reason_against_slimming(tmp_path: Path) -> None:
    trial = OnOneGpu(find_target(None, None), {}, Home(tmp_path))
    assert prove(trial, tmp_path / "slim", tmp_path / "plain", at_once=False) is None


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "KeyError: 'A' (service.py:6)"),
        ("KeyError: 'A'", "KeyError: 'A' (service.py:6)"),
        ("no disk", "KeyError: 'A' (service.py:6) (no disk)"),
    ],
)
def test_a_failure_is_told_once(words: str, reason: str) -> None:
    assert Outcome(None, "KeyError: 'A' (service.py:6)", words).reason == reason
