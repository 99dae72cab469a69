"""What is told of the memory of GPUs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Holding:
    """What an instance has of a GPU.

    Args:
        function: Its function.
        instance: Its name.
        memory: Bytes that it has, or may come to have; 0 where the GPU's driver tells of none.
        known: Whether it needs so much; else it has what there is, until it goes for the first
            time.
    """

    function: str
    instance: str
    memory: int
    known: bool


@dataclass(frozen=True)
class Waiting:
    """An instance that waits for a GPU."""

    function: str
    instance: str


@dataclass(frozen=True)
class GpuUse:
    """How one GPU stands, in bytes.

    Args:
        name: Its number and model.
        total: Its memory; 0 where its driver does not tell.
        on_it: What instances have there, all together; 0 the same.
        holdings: They.
    """

    name: str
    total: int
    on_it: int
    holdings: tuple[Holding, ...]


@dataclass(frozen=True)
class GpuMemory:
    """What the functions of a platform have of the memory of GPUs.

    Args:
        gpus: Each GPU.
        waiting: Instances that wait for one, in order of arrival.
        sleepers: Instances whose GPU memory is in host memory.
        asleep: Bytes of that.
        limit: Bytes that may be there.
    """

    gpus: tuple[GpuUse, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    sleepers: int = 0
    asleep: int = 0
    limit: int = 0
