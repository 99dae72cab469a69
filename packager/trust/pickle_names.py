"""Which names a pickle may import: what is plain, what can do harm, what runs commands.

Lists of dangerous names (picklescan's, fickling's) are never whole; here all of the standard
library is dangerous but for a short list of plain types, and other packages are reported.
"""

from __future__ import annotations

import re
import sys

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

_HOSTILE = re.compile(
    r"(os|posix|nt|subprocess|pty|socket|runpy|ctypes|importlib|shutil|webbrowser|sys|code|pdb|timeit)(\..+|$)"
    r"|(builtins|__builtin__)\.(eval|exec|compile|open|__import__|breakpoint|input)"
)
"""What runs commands, and is in no model."""


def is_dangerous(module: str, name: str) -> bool:
    """Whether what a pickle imports can do harm when it is called.

    Args:
        module: The module.
        name: A name in it, or several with dots, each an attribute of the one before.
    """
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


def is_hostile(joined: str) -> bool:
    """Whether a name, as ``module.name``, runs commands, so that no model needs it."""
    return _HOSTILE.match(joined) is not None
