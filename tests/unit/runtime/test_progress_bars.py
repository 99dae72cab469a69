"""What a progress bar leaves behind keeps no service from being copied."""

from __future__ import annotations

import threading

import pytest

from bentofn.runtime.progress_bars import end_monitors


def monitors() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if type(each).__name__ == "TMonitor"]


def test_the_threads_of_bars_are_ended_and_the_next_bar_starts_another() -> None:
    auto = pytest.importorskip("tqdm.auto", reason="tqdm is not installed")
    for _ in range(2):
        list(auto.tqdm(range(3), disable=False))
        assert monitors()
        end_monitors()
        assert not monitors()
