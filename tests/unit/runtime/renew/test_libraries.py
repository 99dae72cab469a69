from __future__ import annotations

import ctypes
import inspect
import mmap
from pathlib import Path
from typing import Any

import pytest

from bentofn.runtime.renew import find, renew
from bentofn.runtime.renew.native import find_native
from bentofn.runtime.renew.wiped import find_wiped

LIBC = ctypes.CDLL(None)
LIBC.drand48.restype = ctypes.c_double


def test_the_generators_of_the_c_library_are_seeded_anew(forks: Any) -> None:
    def draw() -> list[float]:
        return [LIBC.rand(), LIBC.random(), LIBC.drand48()]

    one, other = forks(draw)
    assert one == other
    renewals = find_native()

    def renewed() -> list[float]:
        renew(renewals)
        return draw()

    one, other = forks(renewed)
    assert not set(one) & set(other)


def test_a_loaded_c_library_is_asked_to_renew_itself_once() -> None:
    import sqlite3

    assert sqlite3.sqlite_version
    names = [str(renewal.args[0]) for renewal in find_native() if "_FuncPtr" in str(renewal)]
    assert len(names) == len(set(names)) >= 3, "seeds of the C library, and SQLite's"


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="mappings are listed by Linux")
def test_what_a_fork_would_find_wiped_is_wiped() -> None:
    before = len(find_wiped())
    with mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        page.madvise(getattr(mmap, "MADV_WIPEONFORK", 18))
        page[:4] = b"seed"
        found = find_wiped()
        assert len(found) == before + 1
        renew(found)
        assert page[:4] == bytes(4)


@pytest.mark.slow
def test_torchs_generators_are_seeded_anew(forks: Any) -> None:
    torch = pytest.importorskip("torch")

    class Holder:
        generator = torch.Generator().manual_seed(7)

    def draw() -> list[float]:
        return [torch.rand(1).item(), torch.rand(1, generator=Holder.generator).item()]

    one, other = forks(draw)
    assert one == other
    renewals = find(Holder())

    def renewed() -> list[float]:
        renew(renewals)
        return draw()

    one, other = forks(renewed)
    assert not set(one) & set(other)


def test_generators_on_a_gpu_that_is_in_use_are_seeded_anew(
    forks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)  # no CUDA here
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)

    def renewed() -> list[int]:
        renew(find(object()))
        return seeds

    one, other = forks(renewed)
    assert len({*one, *other}) == 2


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cuda", "xpu"])
@pytest.mark.parametrize("one_gpu_last", [False, True])
def test_the_seed_that_waits_for_the_first_use_of_a_gpu_is_another_one(
    forks: Any, device: str, one_gpu_last: bool
) -> None:
    gpu = getattr(pytest.importorskip("torch"), device)
    if gpu.is_initialized():
        pytest.skip("a GPU is in use, and no seed waits for it")

    def waits() -> int:
        """The seed that is set last when a GPU is first used, and so holds."""
        call, _ = gpu._lazy_seed_tracker.get_calls()[-1]
        return int(inspect.getclosurevars(call).nonlocals["seed"])

    def renewed() -> list[int]:
        pytest.importorskip("torch").manual_seed(7)
        if one_gpu_last:
            gpu.manual_seed(7)
        before = waits()
        renew(find(object()))
        return [before, waits()]

    one, other = forks(renewed)
    assert one[0] == other[0] == 7
    assert len({7, one[1], other[1]}) == 3
