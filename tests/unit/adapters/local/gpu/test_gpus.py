"""The GPUs of a machine, and turns on those of which the driver tells little or nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bentofn.adapters.local.clock import SystemClock
from bentofn.adapters.local.engines.checkpointed.dormitory import Dormitory
from bentofn.adapters.local.gpu.gpus import DEVICES, Gpus, Turn
from bentofn.adapters.local.gpu.share import Share

if TYPE_CHECKING:
    from fakecuda import FakeCuda


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
            assert await gpus.take(Turn(name, name, name, half), urgent=True) == ("0",)
        third = asyncio.create_task(gpus.take(Turn("c", "c", "c", half), urgent=True))
        await asyncio.sleep(0)
        assert not third.done()
        gpus.give("a")
        assert await third == ("0",)
    finally:
        gpus.close()
        await dormitory.close()


async def test_a_driver_that_is_too_old_for_snapshots_tells_how_large_they_are(
    fake_cuda: FakeCuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidia0").touch()
    monkeypatch.setenv(DEVICES, str(tmp_path))
    monkeypatch.setenv("BENTOFN_FAKECUDA_VERSION", "12040")
    dormitory = Dormitory()
    gpus = Gpus(SystemClock(), dormitory)
    try:
        await gpus.find()
        assert "driver 570" in gpus.note
        (use,) = gpus.status().gpus
        assert (use.name, use.total) == ("0 Stand-in", 1 << 30)
    finally:
        await dormitory.close()


def test_there_are_none_where_the_platform_is_to_see_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidia0").touch()
    monkeypatch.setenv(DEVICES, str(tmp_path))
    assert Gpus(SystemClock(), Dormitory()).there
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not Gpus(SystemClock(), Dormitory()).there
