"""What is remembered of the latest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

MOST = 256
"""What is remembered; a function that is deployed anew may ask anew."""

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key, made when they are first asked for; the least recently asked for makes room.

    Args:
        make: Makes a value.
        most: How many are kept.
    """

    def __init__(self, make: Callable[[], V], most: int = MOST) -> None:
        self._make = make
        self._most = most
        self._kept: OrderedDict[K, V] = OrderedDict()

    def __getitem__(self, key: K) -> V:
        if key not in self._kept:
            self._kept[key] = self._make()
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return self._kept[key]
