"""Which GPUs each service of a bento may see."""

from __future__ import annotations

import itertools
import os
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bentofn.runtime.errors import BentoMLConfigException

VISIBLE = "CUDA_VISIBLE_DEVICES"
DISABLED = "BENTOML_DISABLE_GPU_ALLOCATION"
"""Variable that, set to anything, leaves the GPUs to the user; BentoML's."""


def find_gpus(directory: str = "/dev") -> list[str]:
    """The numbers of this machine's NVIDIA GPUs, without asking their driver for anything."""
    try:
        names = os.listdir(directory)  # noqa: PTH208 - names are numbers, not files
    except OSError:
        return []
    numbers = [found[1] for name in names if (found := re.fullmatch(r"nvidia(\d+)", name))]
    return sorted(numbers, key=int)


def visible_gpus(environ: Mapping[str, str], directory: str = "/dev") -> list[str]:
    """The GPUs that a process of this environment sees, as :data:`VISIBLE` names them, without
    asking their driver: those that the variable names, else by their order.

    The number of a device file is not that: a container may have ``/dev/nvidia3`` alone, which is
    0 to CUDA.

    Source: https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html
    """
    found = find_gpus(directory)
    if VISIBLE not in environ:
        return [str(number) for number in range(len(found))]
    named = [name.strip() for name in environ[VISIBLE].split(",")]
    return list(itertools.takewhile(lambda name: name not in ("", "-1"), named)) if found else []


def is_allocated(environ: Mapping[str, str]) -> bool:
    """Whether GPUs are given to services, or the user has done so."""
    return VISIBLE not in environ and DISABLED not in environ


def names_of(wanted: Any) -> list[str]:
    """The GPUs that a service names in its ``resources.gpu``."""
    return [str(each) for each in wanted] if isinstance(wanted, (list, tuple)) else []


class Allocator:
    """Gives the GPUs of a machine to services, by BentoML's rules.

    A fraction shares a GPU with others of the same fraction; a number above 1 is whole GPUs.
    Source: bentoml 1.4, ``_bentoml_impl/server/allocator.py``

    Args:
        gpus: The GPUs, as :data:`VISIBLE` names them.
        named: Those that services name, which no other gets.
    """

    def __init__(self, gpus: Sequence[str], named: Collection[str] = ()) -> None:
        self._names = list(gpus)
        # What is left of each, and in which units.
        self._free = [(0.0 if name in named else 1.0, 1.0) for name in self._names]

    def assign(self, wanted: Any) -> list[str]:
        """The GPUs for a service.

        Args:
            wanted: ``resources.gpu``: how many, or a list of names.

        Raises:
            BentoMLConfigException: It is more than one and not whole, or no number.
        """
        if isinstance(wanted, (list, tuple)):
            return names_of(wanted)
        try:
            count = float(wanted)
        except (TypeError, ValueError):
            raise BentoMLConfigException(
                f"resources.gpu is a number of GPUs or a list of their names, not {wanted!r}."
            ) from None
        if count <= 0:
            return []
        left = sum(left for left, _ in self._free)
        if count > left:
            warnings.warn(
                f"Requested {wanted} GPUs, but only {left:g} are remaining. Serving may fail due "
                f"to inadequate GPUs. Set {DISABLED}=1 to disable automatic allocation and "
                "allocate GPUs manually.",
                ResourceWarning,
                stacklevel=2,
            )
        if count < 1:
            return [self._names[self._share(count)]]
        if int(count) != count:
            raise BentoMLConfigException("Float GPUs larger than 1 is not supported")
        return [self._names[each] for each in self._whole(int(count))]

    def _share(self, part: float) -> int:
        same = [i for i, (left, unit) in enumerate(self._free) if left > 0 and unit == part]
        untouched = [i for i, (left, _) in enumerate(self._free) if left == 1.0]
        chosen = (same or untouched or [self._missing(part)])[0]
        left = self._free[chosen][0] - part
        # What is left and too little for another of the kind is given to nobody.
        self._free[chosen] = (left if left >= part - 1e-9 else 0.0, part)
        return chosen

    def _whole(self, count: int) -> list[int]:
        free = [i for i, (left, unit) in enumerate(self._free) if left > 0 and unit == 1.0]
        free += [self._missing(1.0) for _ in range(count - len(free))]
        for each in free[:count]:
            self._free[each] = (0.0, 1.0)
        return free[:count]

    def _missing(self, unit: float) -> int:
        """One that the machine lacks: the service then says what fails, as in BentoML."""
        self._names.append(str(len(self._names)))
        self._free.append((1.0, unit))
        return len(self._free) - 1
