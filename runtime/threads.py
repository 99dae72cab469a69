"""Compute threads: none before a fork, the instance's number after it.

A fork copies one thread. A pool that was running (OpenMP's, OpenBLAS's, tokenizers') is gone in the
copy while its memory says that it is there, and the next parallel region waits for ever. So a
template computes with one thread, which makes no pool, and a clone's pools are made after the fork.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
)
"""Variables that libraries read, when they are loaded, for the size of their pools."""

SPIN_COUNT = "1000"
"""How often GNU OpenMP looks again before a waiting thread sleeps.

Its default is 300,000 where threads do not outnumber the CPUs: milliseconds in which a thread that
waits keeps the CPU from the one that it waits for. On two busy CPUs the first inference of a clone
with two threads took 536 ms so, and 43 ms with this; on idle ones both took the same.
Source: https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
"""


def calm(environ: MutableMapping[str, str]) -> None:
    """Keep libraries that are loaded from now on from busy threads, unless the user says how.

    OpenMP spins briefly. ONNX Runtime sends no telemetry: its uploader is a thread that starts
    when the library is imported, which no fork survives.
    Source: https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
    """
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def forbid(environ: MutableMapping[str, str]) -> None:
    """Make libraries that are loaded from now on compute in the calling thread."""
    calm(environ)
    environ.update(dict.fromkeys(VARIABLES, "1"))
    # One rayon thread is still a thread beside the caller; this makes tokenizers use none.
    environ["TOKENIZERS_PARALLELISM"] = "false"


def allow(environ: MutableMapping[str, str], count: int) -> None:
    """Let libraries that are loaded from now on use this many threads, unless a variable says."""
    calm(environ)
    for name in VARIABLES:
        environ.setdefault(name, str(count))


def wanted(environ: Mapping[str, str], count: int) -> int:
    """The number of compute threads: the user's ``OMP_NUM_THREADS`` if it is one, else ``count``.

    OpenMP allows a list (one number a nesting level); the first is the one that counts here.
    """
    first = environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else count


@dataclass(frozen=True)
class Pools:
    """The thread pools of the libraries that are loaded.

    Args:
        controllers: One of threadpoolctl's library controllers for each library.
    """

    controllers: Sequence[Any]

    @classmethod
    def find(cls) -> Pools:
        """Look through the loaded libraries: milliseconds, so do it before a fork."""
        try:
            from threadpoolctl import ThreadpoolController
        except ImportError:
            return cls(())
        return cls(tuple(ThreadpoolController().lib_controllers))

    def resize(self, count: int) -> None:
        """Give every pool, and torch, this many threads; the threads are made when first used."""
        for controller in self.controllers:
            controller.set_num_threads(count)
        torch = sys.modules.get("torch")
        if torch is not None:
            torch.set_num_threads(count)
