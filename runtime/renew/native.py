"""The random generators that C libraries keep: each has a function that mixes fresh bytes in.

OpenSSL (like most) notices a fork by its process id, and a restored process has the id that it had.
There may be many OpenSSLs in one process: Python's, one inside the ``cryptography`` wheel, one in
each wheel that brought its own. Over restores of one image, ``cryptography`` made equal private
keys.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Container, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bentofn.runtime.renew.generators import fresh_seed

_ENTROPY = 64
"""Bytes that are mixed into a generator."""


def find_native() -> list[Callable[[], None]]:
    """A function for each generator of a loaded C library: takes milliseconds to find."""
    found: dict[int, Callable[[], None]] = {}
    for library in _loaded_libraries():
        for symbol, renew in _RENEWED_BY:
            function = getattr(library, symbol, None)
            if function is not None:
                found.setdefault(_address(function), partial(renew, function))
    return [*found.values(), *_of_modules(found)]


def _add(function: Any) -> None:
    """https://docs.openssl.org/master/man3/RAND_add/"""
    function(os.urandom(_ENTROPY), ctypes.c_int(_ENTROPY), ctypes.c_double(_ENTROPY))


def _refresh(function: Any) -> None:
    """https://www.gnutls.org/manual/html_node/Core-TLS-API.html#gnutls_005frnd_005frefresh"""
    function()


def _add_bytes(function: Any) -> None:
    """https://www.gnupg.org/documentation/manuals/gcrypt/; 100 is the best quality."""
    function(os.urandom(_ENTROPY), ctypes.c_size_t(_ENTROPY), ctypes.c_int(100))


def _reset(function: Any) -> None:
    """https://www.sqlite.org/c3ref/randomness.html: of no bytes, it starts over."""
    function(ctypes.c_int(0), None)


def _seed(function: Any) -> None:
    """The C library's ``random`` and ``rand``, and ``drand48``."""
    function(ctypes.c_long(fresh_seed() >> 1))


_RENEWED_BY: tuple[tuple[str, Callable[[Any], None]], ...] = (
    ("RAND_add", _add),
    ("gnutls_rnd_refresh", _refresh),
    ("gcry_random_add_bytes", _add_bytes),
    ("sqlite3_randomness", _reset),
    ("srandom", _seed),
    ("srand48", _seed),
)
"""Names that C libraries export, to how they are called."""


def _of_modules(found: Container[int]) -> Iterator[Callable[[], None]]:
    """For OpenSSLs that are linked into an extension and hidden in it."""
    ssl, extension = sys.modules.get("ssl"), getattr(sys.modules.get("_ssl"), "__file__", None)
    if ssl is not None:
        function = getattr(ctypes.CDLL(extension), "RAND_add", None) if extension else None
        if function is None or _address(function) not in found:
            yield partial(_add_through_ssl, ssl)
    rust = sys.modules.get("cryptography.hazmat.bindings._rust")
    library = getattr(getattr(rust, "_openssl", None), "lib", None)
    if hasattr(library, "RAND_add"):
        yield partial(_add_through_cffi, library)


def _add_through_ssl(ssl: Any) -> None:
    ssl.RAND_add(os.urandom(_ENTROPY), _ENTROPY)


def _add_through_cffi(library: Any) -> None:
    library.RAND_add(os.urandom(_ENTROPY), _ENTROPY, _ENTROPY)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _loaded_libraries() -> Iterator[ctypes.CDLL]:
    """The C library with what the interpreter is linked to, and every mapped shared object."""
    yield ctypes.CDLL(None)
    for path in sorted(_mapped_objects()):
        try:
            yield ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        except OSError:  # mapped, but by no loader
            continue


def _mapped_objects() -> set[str]:
    try:
        lines = os.fsdecode(Path("/proc/self/maps").read_bytes()).split("\n")
    except OSError:
        return set()
    paths = (line.split(maxsplit=5)[5] for line in lines if line.count("/"))
    return {path for path in paths if ".so" in os.path.basename(path)}  # noqa: PTH119
