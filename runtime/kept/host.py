"""What of a machine compiled code depends on; found out without asking a driver or a compiler."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bentofn.runtime.gpus import find_gpus
from bentofn.runtime.processor import features_of

UNKNOWN = "a GPU"
"""Where there is one and nobody says which, as in a sandbox that hides ``/proc/driver``."""

_CPUINFO = Path("/proc/cpuinfo")
_ONE_PROCESSOR = 1 << 14
"""Bytes of /proc/cpuinfo that hold its first entry: the kernel asks every processor for its own."""

_NVIDIA = Path("/proc/driver/nvidia/gpus")
_DRIVER = Path("/sys/module/nvidia/version")


@dataclass(frozen=True)
class Host:
    """A machine.

    Args:
        machine: The architecture, such as ``x86_64``.
        features: What its processor can do, see :func:`features_of`.
        gpu: The models of its GPUs; empty where there is none.
        driver: The version of their driver; empty where it is not known.
        compiler: The name of its C++ compiler, which has the version in it on most systems, such as
            ``x86_64-linux-gnu-g++-14``; empty where there is none.
    """

    machine: str
    features: tuple[str, ...]
    gpu: str = ""
    driver: str = ""
    compiler: str = ""


def this_host(environ: Mapping[str, str] = os.environ) -> Host:
    """This machine, as a process with this environment sees it."""
    gpu = _models() if find_gpus() else ""
    return Host(
        machine=platform.machine(),
        features=features_of(_read(_CPUINFO)),
        gpu=gpu,
        driver=_read(_DRIVER).strip() if gpu else "",
        compiler=compiler_of(environ),
    )


def compiler_of(environ: Mapping[str, str]) -> str:
    """The name of the C++ compiler that a process with this environment finds."""
    found = shutil.which(environ.get("CXX") or "g++", path=environ.get("PATH"))
    return Path(found).resolve().name if found else ""


def _models() -> str:
    """The names of the GPUs, as their driver has them in ``/proc``."""
    found = set()
    for each in sorted(_NVIDIA.glob("*/information")):
        for line in _read(each).splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "Model":
                found.add(value.strip())
    return ", ".join(sorted(found)) or UNKNOWN


def _read(path: Path) -> str:
    try:
        with path.open(errors="replace") as file:
            return file.read(_ONE_PROCESSOR)
    except OSError:
        return ""
