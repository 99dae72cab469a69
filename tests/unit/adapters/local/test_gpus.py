"""Turns on GPUs of which the driver tells nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bentofn.adapters.local.clock import SystemClock
from bentofn.adapters.local.engines.checkpointed.dormitory import Dormitory
from bentofn.adapters.local.gpus import DEVICES, Gpus, Share


async def test_halves_share_a_gpu_whose_driver_is_too_old_to_say_how_large_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidia0").touch()
    monkeypatch.setenv(DEVICES, str(tmp_path))
    monkeypatch.setenv("BENTOFN_LIBCUDA", "")
    dormitory = Dormitory()
    gpus = Gpus(SystemClock(), dormitory)
    try:
        half = Share(part=0.5)
        for name in ("a", "b"):
            assert await gpus.take(name, name, half, lambda: None, urgent=True) == ("0",)
        third = asyncio.create_task(gpus.take("c", "c", half, lambda: None, urgent=True))
        await asyncio.sleep(0)
        assert not third.done()
        gpus.give("a")
        assert await third == ("0",)
    finally:
        gpus.close()
        await dormitory.close()
