"""Reading a torch checkpoint so that nothing in it is executed."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

from bentofn.runtime.errors import UserError

SAVE_AGAIN = "load it where it was made and save only its tensors: torch.save(model.state_dict())"

_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model")

# Before 2.6 weights_only could be made to run code.
# Source: https://github.com/advisories/GHSA-53q9-r3pm-6pq6 (CVE-2025-32434)
_SAFE_TORCH = (2, 6)


def read_checkpoint(source: Path) -> Any:
    """What a checkpoint holds, its tensors mapped where they can be.

    Raises:
        UserError: It cannot be read, is damaged, or names objects other than tensors, unless they
            stand beside the state dict of a training; or torch is missing.
    """
    torch = _import_torch()
    try:
        return _read(torch, source)
    except OSError as error:
        raise UserError(f"Cannot read {source}: {error.strerror or error}.") from error
    except Exception as error:
        if found := re.search(r"GLOBAL (\S+)", str(error)):
            training = _read_training(torch, source)
            if training is not None:
                return training
            raise UserError(
                f"{source} is refused: its pickle wants the Python object {found[1]}, "
                f"which is no plain tensor; {SAVE_AGAIN}."
            ) from error
        if "TorchScript" in str(error):
            raise UserError(f"{source} is a TorchScript program; {SAVE_AGAIN}.") from error
        raise UserError(
            f"{source} is damaged or no torch checkpoint; download it again, or {SAVE_AGAIN}."
        ) from error


def _read(torch: Any, source: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Only the zip format can be mapped; torch's older one is one stream of pickles.
        return torch.load(
            source, map_location="cpu", mmap=zipfile.is_zipfile(source), weights_only=True
        )


class _LeftOut:
    """Stands in for an object beside the weights.

    torch fills no mapping but its own kinds, so that what is made is one of those.
    """

    def __new__(cls, *_: object, **__: object) -> Any:
        return OrderedDict()


def _read_training(torch: Any, source: Path) -> Any:
    """A training's checkpoint, with stand-ins for the objects beside its state dict; else None.

    torch's own reader still refuses what runs commands, and the state dict must be plain tensors.
    """
    serialization = torch.serialization
    try:
        names = serialization.get_unsafe_globals_in_checkpoint(source)
        with serialization.safe_globals([(_LeftOut, name) for name in names]):
            content = _read(torch, source)
    except Exception:
        return None
    return content if wrapper(content) is not None else None


def _import_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            "Reading a torch checkpoint needs torch: install bentofn[torch]."
        ) from error
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < _SAFE_TORCH:
        raise UserError(
            f"torch {torch.__version__} cannot read a checkpoint safely (CVE-2025-32434); "
            "install torch 2.6 or newer."
        )
    return torch


def wrapper(content: Any) -> str | None:
    """The key under which a training keeps its state dict, if there is one."""
    if not isinstance(content, dict):
        return None
    return next((key for key in _WRAPPERS if isinstance(content.get(key), dict)), None)
