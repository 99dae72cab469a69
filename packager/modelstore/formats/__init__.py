"""Formats of model files that are stored as they are: each knows its own and checks it."""

from __future__ import annotations

from pathlib import Path

from bentofn.packager.modelstore.formats.base import Checked, Format
from bentofn.packager.modelstore.formats.boosters import CatBoost, LightGBM, XGBoost
from bentofn.packager.modelstore.formats.gguf import GGUF
from bentofn.packager.modelstore.formats.onnx import ONNX
from bentofn.packager.modelstore.formats.skops import Skops
from bentofn.packager.modelstore.formats.tensorflow import SavedModel
from bentofn.packager.modelstore.formats.torch_program import TorchExport, TorchScript
from bentofn.runtime.errors import UserError

FORMATS: tuple[Format, ...] = (
    ONNX(), GGUF(), XGBoost(), LightGBM(), CatBoost(), Skops(), SavedModel(),
    TorchScript(), TorchExport(),
)  # fmt: skip

ANY = "any"
"""The name that a user gives to a file of no format that is known here."""

NAMES = (*(each.name for each in FORMATS), ANY)


def detect(source: Path, start: bytes) -> Format | None:
    """The format of a file, or None.

    Args:
        source: The file.
        start: Its first bytes.
    """
    return next((each for each in FORMATS if each.detects(source, start)), None)


def named(name: str) -> Format | None:
    """The format of a name, or None for :data:`ANY`.

    Raises:
        UserError: There is no such format.
    """
    if name not in NAMES:
        raise UserError(f"There is no format {name!r}; use one of {', '.join(NAMES)}.")
    return next((each for each in FORMATS if each.name == name), None)


__all__ = ["ANY", "FORMATS", "NAMES", "Checked", "Format", "detect", "named"]
