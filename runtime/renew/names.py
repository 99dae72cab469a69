"""Names that must not be given twice: temporary files, UUIDs, keys of process pools."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

_UUID_CLOCK = ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7")
_TEMPORARY = ("TMPDIR", "TEMP", "TMP")
"""Variables that ``tempfile`` takes its directory from."""


def find_names() -> list[Callable[[], None]]:
    """A function for each module that is loaded and gives names."""
    found: list[Callable[[], None]] = []
    tempfile, uuid = sys.modules.get("tempfile"), sys.modules.get("uuid")
    process = sys.modules.get("multiprocessing.process")
    if tempfile is not None:
        found.append(partial(_renew_temporary, tempfile, _temporary()))
    if uuid is not None:
        found.append(partial(_renew_uuid, uuid))
    if process is not None:
        found.append(partial(_renew_process, process))
    return found


def _temporary() -> Mapping[str, str | None]:
    return {name: os.environ.get(name) for name in _TEMPORARY}


def _renew_temporary(tempfile: Any, before: Mapping[str, str | None]) -> None:
    tempfile._name_sequence = None
    if before != _temporary():
        tempfile.tempdir = None


def _renew_uuid(uuid: Any) -> None:
    """A version 1 UUID is a time, the host's address and a number that tells clocks apart.

    libuuid keeps that number where nothing can reach it, so that two copies asked within one tick
    would give one UUID; Python's own draws it for each UUID.
    """
    uuid.__dict__.update(dict.fromkeys(set(_UUID_CLOCK) & set(uuid.__dict__)))
    uuid._node = None  # the restored process may be on another host
    native = uuid._generate_time_safe
    if native is not None and not isinstance(native, _OwnClock):
        uuid._generate_time_safe = _OwnClock(native)


class _OwnClock:
    """libuuid's version 1 with a clock sequence drawn for each UUID, as Python's own has it.

    Args:
        native: ``uuid._generate_time_safe``: 16 bytes, and whether they are safe.
    """

    def __init__(self, native: Callable[[], tuple[bytes, int | None]]) -> None:
        self._native = native

    def __call__(self) -> tuple[bytes, int | None]:
        drawn, safe = self._native()
        high, low = os.urandom(2)
        # Bytes 8 and 9: the variant's two bits, then the 14 of the sequence (RFC 9562, 5.1).
        return drawn[:8] + bytes((0x80 | high & 0x3F, low)) + drawn[10:], safe


def _renew_process(process: Any) -> None:
    config = process.current_process()._config
    config["authkey"] = process.AuthenticationString(os.urandom(32))
    # A directory that the first copy to end would remove for all.
    config.pop("tempdir", None)
