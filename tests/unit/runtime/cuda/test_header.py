"""What we take from ``cuda.h``, and the stand-in, as NVIDIA's own header has it.

It comes with CUDA's compiler and with the packages that PyTorch's CUDA build installs.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from fakecuda import HERE

from bentofn.runtime.cuda import context, library
from bentofn.runtime.cuda.checkpoint import LockArguments, State
from bentofn.runtime.cuda.context import IpcHandle

CONSTANTS = {
    **{f"CU_PROCESS_STATE_{state.name}": state.value for state in State},
    "CU_MEMHOSTREGISTER_PORTABLE": context._PORTABLE,
    "CU_MEMHOSTREGISTER_READ_ONLY": context._READ_ONLY,
    "CU_STREAM_NON_BLOCKING": context._NON_BLOCKING,
    "CU_EVENT_BLOCKING_SYNC": context._BLOCKING_SYNC,
    "CU_EVENT_DISABLE_TIMING": context._DISABLE_TIMING,
    "CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS": context._LAZY_PEER_ACCESS,
    "CUDA_ERROR_OUT_OF_MEMORY": library.OUT_OF_MEMORY,
    "CUDA_ERROR_NOT_FOUND": library.NOT_FOUND,
}
SIZES = {
    "CUcheckpointLockArgs": ctypes.sizeof(LockArguments),
    "CUipcMemHandle": ctypes.sizeof(IpcHandle),
    "CUuuid": 16,
    "CUdevice": ctypes.sizeof(ctypes.c_int),
    "CUresult": ctypes.sizeof(ctypes.c_int),
    "CUprocessState": ctypes.sizeof(ctypes.c_int),
    "CUdeviceptr": ctypes.sizeof(ctypes.c_uint64),
}


@pytest.fixture
def header() -> Path:
    packages = Path(sysconfig.get_path("purelib")) / "nvidia"
    for folder in (*sorted(packages.glob("c*/include")), Path("/usr/local/cuda/include")):
        if (folder / "cuda.h").exists() and shutil.which("cc"):
            return folder / "cuda.h"
    pytest.skip("no cuda.h here, or no C compiler")


def compile_with(header: Path, *arguments: str) -> None:
    options = ["-std=gnu11", "-Wall", "-Werror", "-Wmissing-prototypes", "-fsyntax-only"]
    command = ["cc", *options, "-D_GNU_SOURCE=", "-include", str(header), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


def test_numbers_and_structures_are_those_of_the_header(header: Path, tmp_path: Path) -> None:
    true = [f"{name} == {value}" for name, value in CONSTANTS.items()]
    true += [f"sizeof({name}) == {size}" for name, size in SIZES.items()]
    true += [
        f"__builtin_offsetof(CUcheckpointLockArgs, {name}) == {getattr(LockArguments, name).offset}"
        for name, *_ in LockArguments._fields_
    ]
    source = tmp_path / "asserted.c"
    source.write_text("".join(f'_Static_assert({each}, "");\n' for each in true))
    compile_with(header, str(source))


def test_the_stand_in_declares_its_calls_as_the_header_does(header: Path) -> None:
    for source in HERE.glob("*.c"):
        compile_with(header, str(source))
