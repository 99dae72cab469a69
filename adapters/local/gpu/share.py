"""What a function asks for of the machine's GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bentofn.adapters.protocol import FunctionSpec
from bentofn.runtime.gpus import is_allocated
from bentofn.runtime.manifest import BentoManifest


@dataclass(frozen=True)
class Share:
    """Of the machine's GPUs.

    Args:
        count: GPUs.
        part: Of the memory of one, where that is less than all of it.
    """

    count: int = 1
    part: float | None = None


@dataclass(frozen=True)
class GpuFunction:
    """A function that asks for GPUs.

    Args:
        name: Its name.
        share: What each instance asks for.
        sleeps: Whether instances sleep while nobody asks, where they can.
        on_disk: Whether GPU memory is kept on disk too.
        copies: Whether it is tried to copy a process before one was seen that has no GPU memory
            at its snapshot point.
    """

    name: str
    share: Share
    sleeps: bool
    on_disk: bool
    copies: bool

    @classmethod
    def of(cls, spec: FunctionSpec, manifest: BentoManifest) -> GpuFunction | None:
        """A function's; None where it asks for no GPU, or takes care of them itself.

        Args:
            spec: The function, whose ``gpu`` and variables go before
            manifest: what its bento says.
        """
        settings = spec.settings
        share = _share_of(settings.gpu, manifest.contract.config.get("resources") or {})
        if share is None or not is_allocated({**manifest.envs, **settings.environment}):
            return None
        on_disk = settings.gpu_snapshot and settings.snapshot in ("auto", "criu")
        return cls(
            name=spec.name,
            share=share,
            sleeps=settings.snapshot == "auto" or settings.gpu_snapshot,
            on_disk=on_disk,
            copies=on_disk or settings.snapshot in ("criu", "template"),
        )


def _share_of(given: str | None, resources: dict[str, Any]) -> Share | None:
    wanted: Any = resources.get("gpu")
    if given is not None:
        model, _, count = given.partition(":")
        wanted = count or (1 if model[:1].isalpha() else model)
    try:
        number = float(wanted)
    except (TypeError, ValueError):
        return None  # none, or those that it names
    if not 0 < number < float("inf"):
        return None
    return Share(part=number) if number < 1 else Share(int(number))
