"""Which environment variables decide how imported modules behave.

Modules read variables while they are imported and keep what they read. A process in which they are
imported already is right only for a service whose environment says the same about those variables.
What Python code reads is heard; what a native library reads cannot be, so those variables are known
by how their names begin.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from bentofn.runtime.threads import VARIABLES as THREAD_VARIABLES

EVERY = "*"
"""Stands for all variables, where a module looked through the whole environment."""

NATIVE_PREFIXES = (
    "ATEN_",
    "BLIS_",
    "CUBLAS_",
    "CUDA_",
    "CUDNN_",
    "DNNL_",
    "GLIBC_",
    "GOMP_",
    "HIP_",
    "KMP_",
    "LC_",
    "LD_",
    "MALLOC_",
    "MKL_",
    "NCCL_",
    "NUMEXPR_",
    "NVIDIA_",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "OPENSSL_",
    "ORT_",
    "PYTHON",
    "PYTORCH_",
    "RAYON_",
    "ROCM_",
    "TF_",
    "TORCH_",
    "XLA_",
)
"""How the names begin of what native libraries, their loader and the interpreter read."""

SEEKERS = {"tqdm.utils": "TQDM_", "wsgiref.handlers": None}
"""Modules that go through all variables when they are imported, to how the names begin that they
look for; wsgiref keeps all of them, which :func:`renew_copies` puts right."""

MACHINE = ("HOME", "LANG", "PATH", "TMPDIR", "TZ")
"""What any library may read at any time."""

_MAPPINGS = ("_collections_abc", "collections.abc", "os", __name__)
_OWN = "BENTOFN_"
_RENEWED = frozenset({*THREAD_VARIABLES, "TOKENIZERS_PARALLELISM"})
"""What a process that forks sets itself, and its copies set anew."""


def matters(name: str, read: frozenset[str]) -> bool:
    """Whether a variable decides how modules behave that were imported while ``read`` was heard."""
    if name.startswith(_OWN) or name in _RENEWED:
        return False
    sought = name.startswith((*NATIVE_PREFIXES, *filter(None, SEEKERS.values())))
    return sought or name in MACHINE or name in read or EVERY in read


def that_matter(environ: Mapping[str, str], read: frozenset[str]) -> dict[str, str]:
    """The part of an environment that decides how imported modules behave.

    Args:
        environ: The environment.
        read: What :func:`hear_reads` heard while the modules were imported.
    """
    return {name: value for name, value in environ.items() if matters(name, read)}


@contextmanager
def hear_reads() -> Iterator[set[str]]:
    """Note which variables Python code asks ``os.environ`` for, whether they are set or not.

    Yields:
        Their names, and :data:`EVERY` once somebody goes through all; it grows.
    """
    heard: set[str] = set()

    class Hearing(os._Environ[str]):
        def __getitem__(self, key: str) -> str:
            if _reader() not in SEEKERS:
                heard.add(key)
            return super().__getitem__(key)

        def __iter__(self) -> Iterator[str]:
            if _reader() not in SEEKERS:
                heard.add(EVERY)
            return super().__iter__()

    with _environ_is(Hearing):
        yield heard


@contextmanager
def guard(read: frozenset[str], refuse: Callable[[str], None]) -> Iterator[None]:
    """Watch for code that sets a variable too late.

    Args:
        read: What was heard while the modules were imported that are there already.
        refuse: Called with the name of a variable that matters before it gets another value.
    """

    class Guarded(os._Environ[str]):
        def __setitem__(self, key: str, value: str) -> None:
            if matters(key, read) and self.get(key) != value:
                refuse(key)
            super().__setitem__(key, value)

        def __delitem__(self, key: str) -> None:
            if matters(key, read) and key in self:
                refuse(key)
            super().__delitem__(key)

    with _environ_is(Guarded):
        yield


def renew_copies() -> None:
    """Put right the copy of the environment that a module of the standard library keeps."""
    handlers = sys.modules.get("wsgiref.handlers")
    if handlers is not None:
        handlers.BaseHandler.os_environ = dict(os.environ)


def _reader() -> str:
    """The module that asks for a variable."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") in _MAPPINGS:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__")) if frame is not None else ""


@contextmanager
def _environ_is(kind: type[os._Environ[str]]) -> Iterator[None]:
    # Its class is changed, not the object: modules hold the object.
    before = type(os.environ)
    object.__setattr__(os.environ, "__class__", kind)
    try:
        yield
    finally:
        object.__setattr__(os.environ, "__class__", before)
