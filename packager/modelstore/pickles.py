"""What a pickle would import, found without importing or running any of it.

A pickle is a program for a small machine. It is run here by Python's own such machine, with an
inert stand-in for every object that it names, so that nothing is missed by looking at the text
alone. joblib's files are pickles with the bytes of arrays between them.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import math
import pickle
import re
import struct
import zlib
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, ClassVar, TypeAlias

from bentofn.packager.trust.pickles import Global, is_dangerous

# Objects by which pickles run commands; no model needs them.
_HOSTILE = re.compile(
    r"(os|posix|nt|subprocess|pty|socket|runpy|ctypes|importlib|shutil|webbrowser|sys|code|pdb|timeit)(\..+|$)"
    r"|(builtins|__builtin__)\.(eval|exec|compile|open|__import__|breakpoint|input)"
)
_JOBLIB_ARRAY = "joblib.numpy_pickle.NumpyArrayWrapper"
_NUMPY_DTYPE = "numpy.dtype"
_DTYPE = re.compile(r"[<>=|]?([a-zA-Z])(\d*)")
_LARGEST_PIECE = 1 << 24
"""Bytes that are read at once; no name is that long."""

_MOST_OUTPUT = 1 << 34
"""Bytes of a decompressed pickle that are read at most."""


Reader: TypeAlias = "io.BufferedReader[Any]"


@dataclass(frozen=True)
class PickleContent:
    """What was found.

    Args:
        names: Every object that it imports, as ``module.name``, sorted.
        whole: Whether it could be read to its end.
        dangerous: Those of the names that can do anything when they are called.
    """

    names: tuple[str, ...]
    whole: bool
    dangerous: tuple[str, ...] = ()

    @property
    def hostile(self) -> tuple[str, ...]:
        """Those of the names that run commands, and are in no model."""
        return tuple(name for name in self.names if _HOSTILE.match(name))


def read_pickle(file: IO[bytes]) -> PickleContent:
    """Look through a pickle, or a joblib file, compressed or not.

    Args:
        file: A file at the pickle's start.
    """
    names: set[Global] = set()
    try:
        reader: Reader = io.BufferedReader(_Raw(_decompressed(file)))
        while reader.peek(1):
            _Reader(reader, names).load()
            if not reader.peek(1).startswith(b"\x80"):
                break
        whole = True
    except Exception:
        # Whatever hostile bytes do to the machine, it is not a pickle that anybody can load.
        whole = False
    dangerous = {each for each in names if is_dangerous(*each)}
    return PickleContent(
        tuple(sorted(".".join(each) for each in names)),
        whole,
        tuple(sorted(".".join(each) for each in dangerous)),
    )


class _Stand:
    """Stands in for an object: takes whatever is done to it, and does nothing."""

    name = ""

    def __new__(cls, *args: Any, **_: Any) -> _Stand:
        made = super().__new__(cls)
        made.args = args
        made.state = None
        return made

    args: tuple[Any, ...]
    state: Any

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> _Stand:
        return _Stand()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        pass

    def extend(self, _: Any) -> None:
        pass

    def add(self, _: Any) -> None:
        pass


class _Pieces:
    """A file of which no large piece is read at once, whatever a pickle says of its length."""

    def __init__(self, file: Reader) -> None:
        self.file = file

    def read(self, size: int) -> bytes:
        if size > _LARGEST_PIECE:
            raise ValueError("too large a piece")
        return self.file.read(size)

    def readline(self) -> bytes:
        return self.file.readline(_LARGEST_PIECE)


class _Reader(pickle._Unpickler):
    """Python's unpickler in Python, whose steps can be followed."""

    proto: int
    read: Callable[[int], bytes]
    append: Callable[[object], None]
    dispatch: ClassVar[dict[int, Callable[..., None]]] = {**pickle._Unpickler.dispatch}

    def __init__(self, file: Reader, names: set[Global]) -> None:
        super().__init__(_Pieces(file))
        self.source = file
        self.names = names

    def find_class(self, module: str, name: str) -> Any:
        if self.proto < 3:  # pickles of those protocols use the names of Python 2
            module, name = NAME_MAPPING.get((module, name), (module, name))
            module = IMPORT_MAPPING.get(module, module)
        self.names.add((module, name))
        return type("Stand", (_Stand,), {"name": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Any:
        return _Stand()

    def load_build(self) -> None:
        super().load_build()  # type: ignore[misc]
        made = self.stack[-1]  # type: ignore[attr-defined]
        if isinstance(made, _Stand) and made.name == _JOBLIB_ARRAY:
            _skip_array(self.source, made.state, self.names)

    dispatch[pickle.BUILD[0]] = load_build

    def load_bytes(self) -> None:
        self._skip("<I")
        self.append(b"")

    def load_bytes8(self) -> None:
        self._skip("<Q")
        self.append(b"")

    def load_text8(self) -> None:
        self._skip("<Q")
        self.append("")

    def load_text(self) -> None:
        (size,) = struct.unpack("<I", self.read(4))
        if size <= _LARGEST_PIECE:
            self.append(str(self.read(size), "utf-8", "surrogatepass"))
            return
        self._read_over(size)
        self.append("")

    def _skip(self, form: str) -> None:
        (size,) = struct.unpack(form, self.read(struct.calcsize(form)))
        self._read_over(size)

    def _read_over(self, size: int) -> None:
        while size > 0:
            read = self.read(min(size, _LARGEST_PIECE))
            if not read:
                raise EOFError
            size -= len(read)

    dispatch[pickle.BINBYTES[0]] = load_bytes
    dispatch[pickle.BINBYTES8[0]] = load_bytes8
    dispatch[pickle.BYTEARRAY8[0]] = load_bytes8
    dispatch[pickle.BINUNICODE[0]] = load_text
    dispatch[pickle.BINUNICODE8[0]] = load_text8


def _skip_array(file: Reader, wrapper: Any, names: set[Global]) -> None:
    """Read over the array that joblib writes behind a wrapper.

    Source: NumpyArrayWrapper of https://github.com/joblib/joblib/blob/main/joblib/numpy_pickle.py
    """
    dtype = wrapper["dtype"]
    if _holds_objects(dtype):
        _Reader(file, names).load()
        return
    if wrapper.get("numpy_array_alignment_bytes") is not None:
        _skip(file, file.read(1)[0])
    _skip(file, math.prod(wrapper["shape"]) * _item_size(dtype))


def _holds_objects(dtype: _Stand) -> bool:
    if _kind(dtype)[0] == "O":
        return True
    fields = dtype.state[4] if dtype.state and len(dtype.state) > 4 else None
    return any(_holds_objects(field[0]) for field in (fields or {}).values())


def _item_size(dtype: _Stand) -> int:
    letter, digits = _kind(dtype)
    return int(digits or 1) * (4 if letter == "U" else 1)


def _kind(dtype: _Stand) -> tuple[str, str]:
    found = _DTYPE.fullmatch(dtype.args[0])
    if dtype.name != _NUMPY_DTYPE or found is None:
        raise ValueError("an array of no known type")
    return found[1], found[2]


def _skip(file: Reader, count: int) -> None:
    while count > 0:
        read = file.read(min(count, 1 << 20))
        if not read:
            raise EOFError
        count -= len(read)


_COMPRESSED: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ", lzma.LZMAFile),
    (b"\x5d\x00\x00", lzma.LZMAFile),
    (b"x\x01", lambda file: _Inflated(file)),
    (b"x^", lambda file: _Inflated(file)),
    (b"x\x9c", lambda file: _Inflated(file)),
    (b"x\xda", lambda file: _Inflated(file)),
)


def _decompressed(file: IO[bytes]) -> Any:
    buffered = io.BufferedReader(_Raw(file))
    start = buffered.peek(8)
    for magic, opened in _COMPRESSED:
        if start.startswith(magic):
            return opened(buffered)
    return buffered


class _Inflated:
    """joblib's own compression: one zlib stream."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.inflate = zlib.decompressobj()

    def read(self, size: int) -> bytes:
        while not self.inflate.eof:
            data = self.inflate.unconsumed_tail or self.file.read(1 << 16)
            if not data:
                raise EOFError
            if found := self.inflate.decompress(data, size):
                return found
        return b""


class _Raw(io.RawIOBase):
    """A file that can only be read on, up to a bound, so that no bomb fills the memory."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.left = _MOST_OUTPUT

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.file.read(min(len(buffer), self.left))
        self.left -= len(data)
        buffer[: len(data)] = data
        return len(data)
