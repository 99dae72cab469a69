"""What a pickle would import when it is loaded, read without loading it.

A pickle is a program: whatever it imports it may call. Its opcodes are walked with a stack of which
only the strings are known. Lists of dangerous names (picklescan's, fickling's) are never whole;
here all of the standard library is dangerous but for a short list of plain types, and other
packages are reported.

https://github.com/python/cpython/blob/main/Lib/pickletools.py
"""

from __future__ import annotations

import pickletools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

Global = tuple[str, str]
"""A module and a name in it."""

UNKNOWN = "a name that is computed"
MAX_OPCODES = 20_000_000
"""Opcodes of one file that are walked; minutes of it, and more than a model of trees has."""

_PROTO = b"\x80"
_STRINGS = {
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "STRING", "BINSTRING", "SHORT_BINSTRING",
}  # fmt: skip
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_EXTENSIONS = {"EXT1", "EXT2", "EXT4"}

_PLAIN = {
    "set", "frozenset", "list", "dict", "tuple", "int", "float", "complex", "bool", "str", "bytes",
    "bytearray", "object", "slice", "range", "long", "unicode", "xrange", "Ellipsis",
    "NotImplemented",
}  # fmt: skip
_SAFE = {
    "builtins": _PLAIN,
    "__builtin__": _PLAIN,
    "_codecs": {"encode"},
    "array": {"array", "_array_reconstructor"},
    "collections": {"OrderedDict", "defaultdict", "Counter", "deque", "ChainMap"},
    "copy_reg": {"_reconstructor"},
    "copyreg": {"_reconstructor", "__newobj__", "__newobj_ex__"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "ipaddress": {"IPv4Address", "IPv6Address"},
    "pathlib": {"Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath"},
    "pathlib._local": {"Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath"},
    "random": {"Random"},
    "re": {"_compile"},
    "types": {"SimpleNamespace"},
    "uuid": {"UUID", "SafeUUID"},
    "zoneinfo": {"ZoneInfo._unpickle"},
}
"""What the standard library's own plain types are pickled by."""

_STANDARD = sys.stdlib_module_names | {
    "__builtin__", "commands", "copy_reg", "httplib", "imp", "nt", "popen2", "urllib2",
}  # fmt: skip
"""Of this Python and of Python 2, whose names pickles of protocol 2 have."""

_DANGEROUS = re.compile(
    r"""
    (pip | setuptools | pkg_resources | cloudpickle | dill | requests | aiohttp | httpx | urllib3
    | IPython | fsspec | sh | invoke | fabric | paramiko
    | numpy\.(f2py | testing | distutils | ctypeslib | _core\.testing)
    | torch\.(hub | serialization | package | utils\.cpp_extension | utils\.bottleneck
        | utils\.collect_env | utils\._config_module | _inductor | _dynamo | fx | distributed
        | jit\.unsupported_tensor_ops | multiprocessing | testing)
    | joblib\.(memory | parallel | externals)
    )(\..*)?
    | numpy\.(load | fromfile | memmap | save.*) | torch\.(load | save | compile)
    | pandas\.(read_.* | eval) | joblib\.(load | dump) | joblib\.numpy_pickle\.(load | dump)
    """,
    re.VERBOSE,
)
"""Other packages' doors to any code, to files and to the network."""

_DOORS = {"eval", "exec", "compile", "getattr", "open", "__import__", "breakpoint", "apply"}


@dataclass(frozen=True)
class PickleReport:
    """What a file would import.

    Args:
        dangerous: ``module.name`` of what can do harm.
        other: ``module.name`` of packages that are not known to.
        broken: Whether it could not be followed to its end.
    """

    dangerous: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    broken: bool = False


def read_pickles(file: BinaryIO) -> PickleReport:
    """Read what a stream of pickles would import, without loading them.

    Args:
        file: The stream, at the first pickle; what follows the last is not looked at.
    """
    found: set[Global] = set()
    first = True
    broken = False
    while first or file.read(1) == _PROTO:
        if not first:
            file.seek(-1, 1)
        try:
            for each in _globals(file):
                found.add(each)
        except _BROKEN:
            # Of what comes after the first pickle nobody can tell whether it is one.
            broken = first
            break
        first = False
    dangerous = {each for each in found if is_dangerous(*each)}
    other = {each for each in found - dangerous if not is_plain(*each)}
    return PickleReport(
        dangerous=tuple(sorted(map(_joined, dangerous))),
        other=tuple(sorted(map(_joined, other))),
        broken=broken,
    )


def is_dangerous(module: str, name: str) -> bool:
    """Whether what a pickle imports can do harm when it is called.

    Args:
        module: The module.
        name: A name in it, or several with dots, each an attribute of the one before.
    """
    if name == UNKNOWN:
        return True
    if is_plain(module, name):
        return False
    # torch.os.system is os.system.
    through = any(part in _STANDARD or part in _DOORS for part in name.split("."))
    return (
        through
        or module.partition(".")[0] in _STANDARD
        or _DANGEROUS.fullmatch(f"{module}.{name}") is not None
    )


def is_plain(module: str, name: str) -> bool:
    """Whether what a pickle imports is a plain type of the standard library."""
    return name in _SAFE.get(module, ())


def _joined(each: Global) -> str:
    return each[1] if each[1] == UNKNOWN else f"{each[0]}.{each[1]}"


_BROKEN = (ValueError, IndexError, KeyError, UnicodeDecodeError, OverflowError, MemoryError)


def _globals(file: BinaryIO) -> Iterator[Global]:
    """The names that one pickle imports; an exception of ``_BROKEN`` where it breaks off."""
    stack: list[object] = []
    memo: dict[object, object] = {}
    for count, (op, argument, _) in enumerate(pickletools.genops(file)):
        if count > MAX_OPCODES:
            raise ValueError("too long")
        name = op.name
        if name in ("GLOBAL", "INST"):
            written_module, _, written_name = str(argument).partition(" ")
            yield written_module, written_name
        elif name == "STACK_GLOBAL":
            module, attribute = stack[-2:]
            known = isinstance(module, str) and isinstance(attribute, str)
            yield (str(module), str(attribute)) if known else ("", UNKNOWN)
        elif name in _EXTENSIONS:
            yield "", UNKNOWN
        elif name in _PUTS or name == "MEMOIZE":
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
            continue
        top = stack[-1] if stack else None
        _pop(stack, op)
        if name in _STRINGS:
            stack.append(argument)
        elif name in _GETS:
            stack.append(memo[argument])
        elif name == "DUP":
            stack += [top, top]
        else:
            stack += [_MARK if each is pickletools.markobject else None for each in op.stack_after]


_MARK = object()


def _pop(stack: list[object], op: pickletools.OpcodeInfo) -> None:
    """Take off what an opcode takes."""
    before = list(op.stack_before)
    if op.name == "POP" and stack and stack[-1] is _MARK:
        before = [pickletools.markobject]
    if pickletools.markobject in before and op.name != "MARK":
        at = len(stack) - 1
        while stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise ValueError("no mark")
        del stack[at:]
        before = before[: before.index(pickletools.markobject)]
    if len(stack) < len(before):
        raise ValueError("stack underflow")
    del stack[len(stack) - len(before) :]
