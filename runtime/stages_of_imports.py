"""Imports as stages, each within the one that it is part of, as ``-X importtime`` shows them, and
calls of well-known modules whose time one wants to know.

Only in a process that somebody asked to tell of its stages.
"""

from __future__ import annotations

import importlib._bootstrap as bootstrap
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from bentofn.runtime.stages import asked, since

SHORTEST = 500_000
"""Nanoseconds; an import or a call that took less is not told of."""

CALLS: dict[str, dict[str, str]] = {
    "torch.cuda": {"_lazy_init": "cuda.init"},
    "torch.nn.modules.module": {"Module.to": "module.to", "Module.cuda": "module.to"},
    "torch.serialization": {"load": "weights.read"},
    "safetensors.torch": {"load_file": "weights.read", "load_model": "weights.load"},
    "transformers.modeling_utils": {"PreTrainedModel.from_pretrained": "weights.load"},
}
"""Module to its functions and methods, and what their stage is called."""

_TOLD = "bentofn_stage"
"""Attribute of what tells already."""


def watch(*, imports: bool) -> None:
    """Tell of the calls from now on, and of each module that is imported if that is wanted.

    The interpreter looks up what finds and loads a module each time that it is not there yet
    (``import_find_and_load`` in CPython's Python/import.c).
    """
    for name in CALLS.keys() & sys.modules.keys():
        _watch_calls(name)
    whole: Any = bootstrap
    find_and_load = getattr(whole._find_and_load, _TOLD, whole._find_and_load)

    def load(name: str, import_: Any) -> Any:
        began = time.time_ns()
        try:
            return find_and_load(name, import_)
        finally:
            if name in CALLS:
                _watch_calls(name)
            if imports:
                _tell(f"import {name}", began)

    setattr(load, _TOLD, find_and_load)
    whole._find_and_load = load


def _watch_calls(module: str) -> None:
    found = sys.modules.get(module)
    for path, stage in CALLS[module].items():
        *owners, name = path.split(".")
        owner: Any = found
        for each in owners:
            owner = getattr(owner, each, None)
        call = vars(owner).get(name) if owner is not None else None
        if call is not None and not hasattr(getattr(owner, name), _TOLD):
            setattr(owner, name, _told(call, stage))


def _told(call: Any, stage: str) -> Any:
    if isinstance(call, classmethod):
        return classmethod(_told(call.__func__, stage))
    function: Callable[..., Any] = call

    @wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        began = time.time_ns()
        try:
            return function(*args, **kwargs)
        finally:
            _tell(stage, began)

    setattr(told, _TOLD, function)
    return told


def _tell(name: str, began: int) -> None:
    if asked() and time.time_ns() - began >= SHORTEST:
        since(name, began)
