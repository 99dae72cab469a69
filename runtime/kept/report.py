"""What was compiled anew, in the function's log."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentofn.runtime.kept.overlay import TRITON

_SHOWN = 5
_KERNELS = (".cubin", ".hsaco", ".spv", ".asm")
"""Names of a Triton kernel that was compiled end so."""


@dataclass
class Report:
    """What torch says that it compiled, at the start and after.

    Args:
        reasons: Why what is kept does not fit this machine ("it was compiled ...").
        has_kept: Whether anything that is kept is used.
        unusable: Why it could not be made to stand where compilers look.
        starting: Whether the service is still starting: all of that is told at once.
    """

    reasons: Sequence[str] = ()
    has_kept: bool = False
    unusable: str = ""
    starting: bool = True
    compiled: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def heard(self, metrics: Any) -> None:
        """Take note of one of torch's compilations; after the start it is told."""
        if not _missed(metrics):
            return
        seconds = float(getattr(metrics, "entire_frame_compile_time_s", None) or 0.0)
        what = _place(metrics)
        if self.starting:
            self.compiled.append(what)
            self.seconds += seconds
            return
        reason = getattr(metrics, "recompile_reason", None)
        why = str(reason).partition(": ")[2].strip() if reason else "no example calls it"
        _say(f"compiled for a request, in {seconds:.1f} s: {what} ({why})")

    def made(self, name: str, seconds: float) -> None:
        """Take note of a file that the service made to keep it; after the start it is told."""
        if self.starting:
            self.compiled.append(name)
            self.seconds += seconds
        else:
            _say(f"made for a request, in {seconds:.1f} s: {name} (no start needs it)")

    def started(self, kernels: Iterable[str]) -> None:
        """Tell what the start compiled.

        Args:
            kernels: The kernels that were written, which torch may not have told of.
        """
        self.starting = False
        what = [*self.compiled, *([] if self.compiled else kernels)]
        if not what:
            return
        more = f" and {len(what) - _SHOWN} more" if len(what) > _SHOWN else ""
        took = f" in {self.seconds:.1f} s" if self.seconds else ""
        _say(f"compiled at this start{took}: {', '.join(what[:_SHOWN])}{more}; {self._why()}")

    def _why(self) -> str:
        if self.unusable:
            return f"what is kept with the bento cannot be laid out: {self.unusable}"
        if self.reasons:
            return "; ".join(f"what is kept with the bento was compiled {r}" for r in self.reasons)
        if self.has_kept:
            return (
                "what is kept with the bento was compiled of other code, shapes or options; "
                "build it again"
            )
        return "nothing compiled is kept with the bento yet"


def kernels(written: Iterable[Path]) -> Iterator[str]:
    """The names of the kernels among what was written."""
    for path in written:
        if path.suffix in _KERNELS and TRITON in path.parts:
            yield path.stem
        elif path.suffix == ".so" and TRITON not in path.parts:
            yield f"C++ kernel {path.name[:10]}"


def _missed(metrics: Any) -> bool:
    """Whether torch found nothing in its caches: it counts the look-ups of each compilation."""
    names = ("inductor_fx_local_cache_miss_count", "aotautograd_local_cache_miss_count")
    return any(getattr(metrics, name, None) for name in names)


def _place(metrics: Any) -> str:
    file = os.path.basename(getattr(metrics, "co_filename", None) or "?")  # noqa: PTH119
    return f"{getattr(metrics, 'co_name', '?')} ({file}:{getattr(metrics, 'co_firstlineno', '?')})"


def _say(sentence: str) -> None:
    print(f"bentofn: {sentence}.", file=sys.stderr, flush=True)
