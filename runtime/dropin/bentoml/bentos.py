"""``bentoml.bentos``."""

from typing import NoReturn

from bentofn.bentos import *  # noqa: F403
from bentofn.runtime import surface


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(surface.absent(f"{__name__}.{name}"))  # else its message would be lost
