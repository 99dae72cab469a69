from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from bentofn.runtime.cuda import quiet
from bentofn.runtime.cuda.context import Context
from bentofn.runtime.cuda.library import Library
from bentofn.runtime.protocol import OnDevice
from bentofn.runtime.weights.staging import staging_of

if TYPE_CHECKING:
    from fakecuda import FakeCuda

PROGRAM = """
import ctypes, dataclasses, json, sys
from bentofn.runtime.cuda.library import Library
from bentofn.runtime.cuda.quiet import on_device

def say():
    held = on_device()
    print(json.dumps(held and dataclasses.asdict(held)), flush=True)

say()
library = Library.find()
say()
context, memory = ctypes.c_void_p(), ctypes.c_uint64()
library.call("cuInit", ctypes.c_uint(0))
say()
library.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
library.call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(4096))
say()
"""


def test_what_a_process_has_is_told_once_it_has_a_context(
    fake_cuda: FakeCuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a machine has it: a link, which the kernel does not call it by.
    link = tmp_path / "libcuda.so.1"
    link.symlink_to(fake_cuda.path)
    monkeypatch.setenv("BENTOFN_LIBCUDA", str(link))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said == [None, None, None, {"used": 4096, "reserved": 0, "early": False, "now": 4096}]


def test_what_is_needed_is_what_the_framework_had_at_most_and_what_goes_is_what_it_has(
    fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_FAKECUDA_DEVICES", "2")
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)  # no GPU to do it with
    monkeypatch.setattr(torch.cuda, "memory_reserved", [1000, 3000].__getitem__)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", [9000, 3000].__getitem__)
    library = Library.find()
    assert library is not None
    memory = ctypes.c_uint64()
    contexts = [Context(library, device) for device in range(2)]
    library.call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(4096))
    free, total = contexts[0].free_memory()
    held = quiet.on_device()
    library.call("cuMemFree_v2", memory)
    assert held == OnDevice(total - free - 1000 + 9000, 9000, now=4000)


class StandIn:
    """torch as far as it is asked, with a communicator of NCCL's."""

    class Cuda:
        @staticmethod
        def is_initialized() -> bool:
            return True

    class Distributed:
        @staticmethod
        def is_available() -> bool:
            return True

        @staticmethod
        def is_initialized() -> bool:
            return True

    cuda: Any = Cuda
    distributed: Any = Distributed


def test_communicators_of_nccl_are_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", StandIn)  # no NCCL without a GPU
    with pytest.raises(Exception, match=r"NCCL.*destroy_process_group.*before_snapshot"):
        quiet.settle()


def test_what_runs_on_the_gpus_is_waited_for_and_no_other_gets_a_context(
    fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_FAKECUDA_DEVICES", "4")
    waited: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)  # no GPU to do it with
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    library = Library.find()
    assert library is not None
    contexts = ctypes.CDLL(str(fake_cuda.path)).fakecudaContexts
    has = {number for number in range(4) if contexts() >> number & 1}
    Context(library, 2)
    quiet.settle()
    assert set(waited) == has | {2}
    assert contexts() == sum(1 << number for number in has | {2})


def test_nothing_stays_pinned_for_loads_that_may_never_come(
    fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library.find()
    assert library is not None
    registered = ctypes.CDLL(str(fake_cuda.path)).fakecudaRegistered
    registered.restype = ctypes.c_size_t
    staging_of(library, 0).prepare()
    assert registered() > 0
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)  # no GPU to do it with
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    quiet.settle()
    assert registered() == 0
