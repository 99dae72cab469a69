"""Python's own machine for pickles, with an inert stand-in for every object that one names.

https://github.com/python/cpython/blob/main/Lib/pickle.py
"""

from __future__ import annotations

import math
import pickle
import re
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import Any, ClassVar

from bentofn.packager.trust.unpacked import Reader

Global = tuple[str, str]
"""A module and a name in it, or several with dots, each an attribute of the one before."""

MAX_READS = 20_000_000
"""Pieces of one file that are read; minutes of it, and more than a model of trees has."""
MAX_KEPT = 1 << 29
"""Bytes of one file's text and numbers, which are kept until its end."""
MAX_NAMES = 10_000
"""Different objects that one file names."""

_LARGEST_PIECE = 1 << 24
"""Bytes that are kept of one piece; no name is that long."""

_JOBLIB_ARRAY = "joblib.numpy_pickle.NumpyArrayWrapper"
_NUMPY_DTYPE = "numpy.dtype"
_DTYPE = re.compile(r"[<>=|]?([a-zA-Z])(\d*)")


class UnknowableError(ValueError):
    """Nobody can say what comes after: it is computed, or more than any model has."""


class Found:
    """What is known of a file so far, and how much of it is kept."""

    def __init__(self) -> None:
        self.names: set[Global] = set()
        self.stands: dict[Global, type[_Stand]] = {}
        self.reads = 0
        self.kept = 0

    def read(self, kept: int) -> None:
        self.reads += 1
        self.kept += kept
        if self.reads > MAX_READS or self.kept > MAX_KEPT:
            raise UnknowableError

    def stand(self, module: str, name: str) -> type[_Stand]:
        if (module, name) not in self.stands:
            if len(self.stands) >= MAX_NAMES:
                raise UnknowableError
            self.names.add((module, name))
            made = type("Stand", (_Stand,), {"name": f"{module}.{name}", "__slots__": ()})
            self.stands[module, name] = made
        return self.stands[module, name]


class _Stand:
    """Stands in for an object: takes whatever is done to it, and does nothing."""

    __slots__ = ("first", "state")

    name = ""
    first: Any
    state: Any

    def __new__(cls, *args: Any, **_: Any) -> _Stand:
        made = super().__new__(cls)
        made.first = args[0] if args else None
        made.state = None
        return made

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


class _Pieces:
    """A file of which no large piece is read at once, whatever a pickle says of its length."""

    def __init__(self, file: Reader, found: Found) -> None:
        self.file = file
        self.found = found

    def read(self, size: int) -> bytes:
        if size > _LARGEST_PIECE:
            raise UnknowableError
        self.found.read(size)
        return self.file.read(size)

    def readline(self) -> bytes:
        line = self.file.readline(_LARGEST_PIECE)
        self.found.read(len(line))
        return line


_A_LIST = _Stand()
"""Stands in for every list: nobody asks what is in one."""

_BASE: dict[int, Callable[..., None]] = {**pickle._Unpickler.dispatch}


class Machine(pickle._Unpickler):
    """Python's unpickler in Python, whose steps can be followed.

    Nothing is hashed but text: what is nested deep enough ends the process when it is hashed.
    """

    proto: int
    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[object], None]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[..., None]]] = {**_BASE}

    def __init__(self, file: Reader, found: Found) -> None:
        super().__init__(_Pieces(file, found), encoding="latin-1")  # any text of Python 2
        self.source = file
        self.found = found

    def find_class(self, module: str, name: str) -> Any:
        if self.proto < 3:  # pickles of those protocols use the names of Python 2
            module, name = NAME_MAPPING.get((module, name), (module, name))
            module = IMPORT_MAPPING.get(module, module)
        return self.found.stand(module, name)

    def get_extension(self, code: int) -> None:
        raise UnknowableError  # the program that loads it has a registry of its own

    def persistent_load(self, pid: Any) -> Any:
        return _Stand()

    def load_frame(self) -> None:
        self.read(8)  # a frame's opcodes are read as if they stood in none

    def load_build(self) -> None:
        _BASE[pickle.BUILD[0]](self)
        made = self.stack[-1]
        if isinstance(made, _Stand) and made.name == _JOBLIB_ARRAY:
            _skip_array(self.source, made.state, self.found)

    def load_reduce(self) -> None:
        if not isinstance(self.stack[-1], tuple):
            raise TypeError
        _BASE[pickle.REDUCE[0]](self)

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set(items)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def load_setitems(self) -> None:
        self._set(self.pop_mark())

    def _set(self, items: list[Any]) -> None:
        target = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, str):
                target[key] = value

    def load_empty_list(self) -> None:
        self.append(_A_LIST)

    def load_list(self) -> None:
        self.pop_mark()
        self.append(_A_LIST)

    def load_set(self) -> None:
        self.append(None)

    def load_additems(self) -> None:
        self.pop_mark()

    def load_frozenset(self) -> None:
        self.pop_mark()
        self.append(None)

    def load_bytes(self) -> None:
        self._skip("<I")
        self.append(b"")

    def load_bytes8(self) -> None:
        self._skip("<Q")
        self.append(b"")

    def load_text(self) -> None:
        self._text("<I")

    def load_text8(self) -> None:
        self._text("<Q")

    def _text(self, form: str) -> None:
        (size,) = struct.unpack(form, self.read(struct.calcsize(form)))
        if size <= _LARGEST_PIECE:
            self.append(str(self.read(size), "utf-8", "surrogatepass"))
            return
        _skip(self.source, size)
        self.append("")

    def _skip(self, form: str) -> None:
        (size,) = struct.unpack(form, self.read(struct.calcsize(form)))
        _skip(self.source, size)

    dispatch[pickle.FRAME[0]] = load_frame
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.EMPTY_LIST[0]] = load_empty_list
    dispatch[pickle.LIST[0]] = load_list
    dispatch[pickle.EMPTY_SET[0]] = load_set
    dispatch[pickle.ADDITEMS[0]] = load_additems
    dispatch[pickle.FROZENSET[0]] = load_frozenset
    dispatch[pickle.BINBYTES[0]] = load_bytes
    dispatch[pickle.BINBYTES8[0]] = load_bytes8
    dispatch[pickle.BYTEARRAY8[0]] = load_bytes8
    dispatch[pickle.BINUNICODE[0]] = load_text
    dispatch[pickle.BINUNICODE8[0]] = load_text8


def _skip_array(file: Reader, wrapper: Any, found: Found) -> None:
    """Read over the array that joblib writes behind a wrapper.

    Source: NumpyArrayWrapper of https://github.com/joblib/joblib/blob/main/joblib/numpy_pickle.py
    """
    dtype = wrapper["dtype"]
    if _holds_objects(dtype):
        Machine(file, found).load()
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
    found = _DTYPE.fullmatch(dtype.first)
    if dtype.name != _NUMPY_DTYPE or found is None:
        raise ValueError("an array of no known type")
    return found[1], found[2]


def _skip(file: Reader, count: int) -> None:
    while count > 0:
        read = file.read(min(count, 1 << 20))
        if not read:
            raise EOFError
        count -= len(read)
