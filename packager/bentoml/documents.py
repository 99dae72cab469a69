"""BentoML's YAML files, read with suspicion: they may come from anyone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bentofn.runtime.errors import UserError

_MOST_TEXT = 4_000_000
"""Bytes of a file, and of what it means, at most: aliases may make much of little."""


def read_document(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping, as JSON types.

    Raises:
        UserError: It cannot be read, or is no such file.
    """
    import yaml

    try:
        if path.stat().st_size > _MOST_TEXT:
            raise UserError(f"{path} is larger than any file of its kind that BentoML writes.")
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _plain(raw)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not a file that BentoML wrote; export it there again."
        ) from error


def _plain(raw: object) -> dict[str, Any]:
    text: list[str] = []
    size = 0
    for piece in json.JSONEncoder(default=str).iterencode(raw):
        size += len(piece)
        if size > _MOST_TEXT:
            raise ValueError("too large")
        text.append(piece)
    document = json.loads("".join(text))
    if not isinstance(document, dict):
        raise ValueError("no mapping")
    return document
