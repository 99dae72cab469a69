"""Compiled code as it stands in a bento's root, and on which machines it is used."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bentofn.runtime.kept.host import UNKNOWN, Host
from bentofn.runtime.manifest import canonical_json

FORMAT = 1

RECORD = "kept.json"
"""What it is, beside :data:`FILES`."""

FILES = "files"
"""The directories of the compilers, as they wrote them."""

_SHOWN = 4
_MALFORMED = (OSError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class Kept:
    """What was compiled, and on what.

    Args:
        host: The machine; its features are empty where nothing is code of its processor.
        versions: Name to version of what compiled: ``python``, ``torch``, ``triton``.
        said: Option to what the C++ compiler answers to it, where torch asked.
        torch_key: torch's digest of its own source, in hex; empty where it was not computed.
        triton_key: Triton's digest of its own source and library; empty where it made nothing.
        what: The functions and kernels that were compiled, for people.
        format: Of the directory.
    """

    host: Host
    versions: Mapping[str, str]
    said: Mapping[str, str]
    torch_key: str = ""
    triton_key: str = ""
    what: tuple[str, ...] = ()
    format: int = FORMAT

    def mismatch(self, here: Host) -> str | None:
        """Why it is not used on a machine; completes "it was compiled ..."."""
        host = self.host
        if host.machine != here.machine:
            return f"on {host.machine}, and this is {here.machine}"
        if host.gpu and not here.gpu:
            return f"for {host.gpu}, and this machine has no GPU"
        if UNKNOWN not in (host.gpu, here.gpu) and host.gpu and host.gpu != here.gpu:
            return f"for {host.gpu}, and this machine has {here.gpu}"
        if host.gpu and host.driver and here.driver and host.driver != here.driver:
            return f"with the GPU driver {host.driver}, and this machine has {here.driver}"
        lacking = sorted(set(host.features) - set(here.features))
        if lacking:
            more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
            return f"on a CPU with {', '.join(lacking[:_SHOWN])}{more}, which this one lacks"
        if host.compiler and here.compiler and host.compiler != here.compiler:
            return f"by {host.compiler}, and this machine has {here.compiler}"
        return None

    def to_json(self) -> bytes:
        """The record as canonical JSON."""
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Kept:
        """Read a record, which may come from elsewhere.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: It is none, or of another format.
        """
        raw: Mapping[str, Any] = json.loads(data)
        if raw["format"] != FORMAT:
            raise ValueError(f"format {raw['format']!r}")
        host = {name: str(raw["host"][name]) for name in ("machine", "gpu", "driver", "compiler")}
        return cls(
            host=Host(features=tuple(map(str, raw["host"]["features"])), **host),
            versions={str(name): str(value) for name, value in raw["versions"].items()},
            said={str(name): str(value) for name, value in raw["said"].items()},
            torch_key=bytes.fromhex(raw["torch_key"]).hex(),
            triton_key=str(raw.get("triton_key", "")),
            what=tuple(map(str, raw["what"])),
        )


def kept_below(directories: Sequence[Path]) -> Iterator[tuple[Path, Kept]]:
    """What is kept in some directories, each in a directory of its own; unreadable ones are not
    among it."""
    for directory in directories:
        try:
            names = sorted(os.listdir(directory))  # noqa: PTH208 - most have none
        except OSError:
            continue
        for name in names:
            try:
                record = (directory / name / RECORD).read_bytes()
                yield directory / name, Kept.from_json(record)
            except _MALFORMED:
                continue


def choose(
    directories: Sequence[Path], here: Host
) -> tuple[tuple[Path, Kept] | None, tuple[str, ...]]:
    """What is used on a machine, or why each is not ("it was compiled ..."): the first that fits,
    but what was compiled without a GPU only where nothing else does.

    Args:
        directories: Where to look, in this order.
        here: The machine.
    """
    fitting, reasons = [], []
    for path, kept in kept_below(directories):
        reason = kept.mismatch(here)
        if reason is None:
            fitting.append((path, kept))
        else:
            reasons.append(reason)
    if not fitting:
        return None, tuple(reasons)
    return max(fitting, key=lambda each: bool(each[1].host.gpu)), ()
