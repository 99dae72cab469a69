"""Wheel files of a user's own, as requirements that nothing else meets."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from bentofn.packager.environment.names import normalised
from bentofn.runtime.errors import UserError

_NAME = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl")
"""https://packaging.python.org/en/latest/specifications/binary-distribution-format/"""


def wheel_requirement(path: Path, extras: str = "", marker: str = "") -> str:
    """The requirement that a wheel meets, with its hash.

    Args:
        path: The wheel.
        extras: Its extras, in brackets, or empty.
        marker: When it is required, or empty.

    Raises:
        UserError: The file's name is not a wheel's.
    """
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    condition = f" ; {marker}" if marker else ""
    return f"{wheel_version(path, extras)}{condition} --hash=sha256:{digest.hexdigest()}"


def wheel_version(path: Path, extras: str = "") -> str:
    """The name and version of a wheel, as ``name==version``.

    Raises:
        UserError: The file is missing, or its name is not a wheel's.
    """
    match = _NAME.fullmatch(path.name)
    if match is None or not path.is_file():
        raise UserError(f"python.wheels: {path} is not a wheel file.")
    return f"{normalised(match['name'])}{extras}=={match['version'].replace('_', '-')}"
