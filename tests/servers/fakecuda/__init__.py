"""The C sources beside this file as a library that stands in for libcuda (see fake.h)."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@dataclass(frozen=True)
class FakeCuda:
    """The library as a test uses it.

    Args:
        path: The library.
        log: Where its calls are written.
        control: What :meth:`fail` writes for processes that run already.
    """

    path: Path
    log: Path
    control: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with which a process uses it."""
        return {
            "BENTOFN_LIBCUDA": str(self.path),
            "BENTOFN_FAKECUDA_LOG": str(self.log),
            "BENTOFN_FAKECUDA_CONTROL": str(self.control),
        }

    def calls(self) -> list[str]:
        """Names of the calls that were made, of all processes, in order."""
        return [line.split()[2] for line in self.lines()]

    def lines(self) -> list[str]:
        """The log: process, thread, call and arguments."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def fail(self, *rules: str) -> None:
        """From here on calls fail: ``cuMemAlloc_v2=2``, or ``cuMemAlloc_v2:3=2`` the third."""
        self.control.write_text(",".join(rules))

    def hang(self, call: str) -> None:
        """From here on a call does not return."""
        self.control.write_text(f"{call}=-1")

    def on_device(self, pid: int) -> int:
        """Bytes that a process has on the device; -1 where it does not use CUDA, or has ended."""
        looked = ctypes.CDLL(str(self.path)).fakecudaOnDevice
        looked.restype = ctypes.c_longlong
        return int(looked(pid))

    def reset(self) -> None:
        """Count this process's calls from 1 again."""
        ctypes.CDLL(str(self.path)).fakecudaReset()


def compiled(into: Path) -> Path:
    """The library, compiled into a folder; the test is skipped where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) for the stand-in of libcuda")
    library = into / "libfakecuda.so"
    sources = sorted(map(str, HERE.glob("*.c")))
    options = ["-std=gnu11", "-O1", "-g", "-Wall", "-Werror", "-shared", "-fPIC", "-pthread"]
    subprocess.run([compiler, *options, "-o", str(library), *sources], check=True)
    return library
