"""What of a machine a snapshot's memory depends on.

A program asks once what its processor can do and keeps the answer: glibc binds ``memcpy`` and its
kin (ifuncs), oneDNN, MKL and OpenBLAS choose kernels, PyTorch its ATen capability, and JITs emit
code. On a processor that lacks one of those instructions that memory ends in SIGILL, so every
feature that a program can use is part of the class. What only tunes speed is not: the processor's
model, and the sizes of its caches (which glibc turns into the thresholds of ``memcpy``), may differ
between two hosts of one class, and the memory still computes the same.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bentofn.packager.snapshot.capabilities import own_capabilities
from bentofn.packager.snapshot.texts import printable
from bentofn.runtime.manifest import canonical_json
from bentofn.runtime.processor import features_of, field_of

_CPUINFO = Path("/proc/cpuinfo")
_NVIDIA = Path("/sys/module/nvidia/version")

_VENDOR = ("vendor_id", "CPU implementer")
_SHOWN = 4
"""Features that a sentence names."""


@dataclass(frozen=True)
class HostClass:
    """Machines that can run each other's memory.

    Args:
        machine: The architecture, such as ``x86_64``.
        vendor: The maker of the processor, as it says itself (MKL asks for it).
        features: Sorted instruction-set features, in the kernel's words.
        kernel: The release of the kernel: its vDSO is mapped into every process.
        libc: Name and version of the C library.
        driver: Version of the GPU driver; empty where there is none.
        capabilities: Sorted privileges that a process can be given here.
    """

    machine: str
    vendor: str
    features: tuple[str, ...]
    kernel: str
    libc: str
    driver: str = ""
    capabilities: tuple[str, ...] = ()

    def mismatch(self, here: HostClass) -> str | None:
        """Why memory of this class does not fit another; completes "it was taken ..."."""
        if self.machine != here.machine:
            return f"on {_named(self.machine)}, and this is {_named(here.machine)}"
        if self.vendor != here.vendor:
            return f"on a CPU of {_named(self.vendor)}, and this one is of {_named(here.vendor)}"
        if self.features != here.features:
            return f"on a CPU {_unlike(self.features, here.features, 'this one')}"
        if self.kernel != here.kernel:
            return f"on Linux {self.kernel}, and this is {here.kernel}"
        if self.libc != here.libc:
            return f"with {_named(self.libc)}, and this machine has {_named(here.libc)}"
        if self.driver != here.driver:
            return f"with {_driver(self.driver)}, and this machine has {_driver(here.driver)}"
        if self.capabilities != here.capabilities:
            return _unlike(self.capabilities, here.capabilities, "this process", "the privileges ")
        return None

    def to_json(self) -> dict[str, Any]:
        """The class as JSON."""
        lists = {"features": list(self.features), "capabilities": list(self.capabilities)}
        return {**asdict(self), **lists}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> HostClass:
        """Read a class.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        return cls(
            machine=_text(raw["machine"]),
            vendor=_text(raw["vendor"]),
            features=tuple(sorted({_text(each) for each in raw["features"]})),
            kernel=_text(raw["kernel"]),
            libc=_text(raw["libc"]),
            driver=_text(raw["driver"]),
            capabilities=tuple(sorted({_text(each) for each in raw["capabilities"]})),
        )

    def canonical(self) -> bytes:
        """The same bytes for the same class."""
        return canonical_json(self.to_json())


def this_host() -> HostClass:
    """The class of this machine."""
    return HostClass(
        machine=platform.machine(),
        vendor=_vendor(cpuinfo := _read(_CPUINFO)),
        features=features_of(cpuinfo),
        kernel=platform.release(),
        libc=_libc(),
        driver=_read(_NVIDIA).strip(),
        capabilities=own_capabilities(),
    )


def _vendor(cpuinfo: str) -> str:
    return field_of(cpuinfo, _VENDOR)


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):  # another C library
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _text(value: object) -> str:
    return printable(value, 255)


def _named(value: str) -> str:
    return value or "an unknown kind"


def _driver(version: str) -> str:
    return f"the GPU driver {version}" if version else "no GPU driver"


def _unlike(then: Sequence[str], now: Sequence[str], who: str, what: str = "") -> str:
    lacking = sorted(set(then) - set(now))
    if lacking:
        return f"with {what}{_listed(lacking)}, which {who} lacks"
    return f"without {what}{_listed(sorted(set(now) - set(then)))}, which {who} has"


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest
