"""How much the snapshots of a home may take on its disk."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from bentofn.runtime.errors import UserError

VARIABLE = "BENTOFN_SNAPSHOTS_MAX"
"""Bytes of all snapshots together, such as ``20GiB``; 0 for no limit."""

DEFAULT = 20 << 30

_UNITS = {
    "": 1, "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
}  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def size_limit(environ: Mapping[str, str] = os.environ) -> int:
    """Bytes that all snapshots of a home may take together; 0 for any.

    Raises:
        UserError: :data:`VARIABLE` holds no size.
    """
    return size_of(VARIABLE, DEFAULT, environ)


def size_of(variable: str, default: int, environ: Mapping[str, str] = os.environ) -> int:
    """Bytes that a variable says, such as ``20GiB``.

    Raises:
        UserError: It holds no size.
    """
    text = environ.get(variable, "").strip()
    if not text:
        return default
    match = _SIZE.fullmatch(text)
    unit = _UNITS.get(match.group(2).upper()) if match else None
    if match is None or unit is None:
        raise UserError(f"{variable} is {text!r}, which is no size; write it like 20GiB, or 0.")
    return int(float(match.group(1)) * unit)
