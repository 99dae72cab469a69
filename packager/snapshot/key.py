"""What a snapshot was taken of and on; it is used only where all of it is the same."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bentofn.packager.files import atomic_write, make_directory
from bentofn.packager.home import Home
from bentofn.packager.snapshot.host import HostClass
from bentofn.packager.snapshot.texts import printable
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import canonical_json
from bentofn.runtime.proxy import addresses

FORMAT = 1
"""Of the images as they stand in the store; raised when older ones cannot be restored any more."""

KEY_FILE = "environment.key"
"""A random key of the home: who reads a snapshot's key cannot try values of secrets against it."""

DECLARED = "declared"
"""How the digest of an environment begins that holds what the bento itself declares, no more."""

_OWN_VARIABLES = frozenset(
    ["BENTOFN_FUNCTION", "BENTOFN_HIDDEN", "BENTOFN_INSTANCE", "BENTOFN_ROOT"]
)
"""Given anew to every instance; the root is in the key by itself."""

_FROM_THE_MACHINE = ("PATH", "HOME", "TMPDIR")
"""Left out where the value is the one that this process has: a shell's differs from a daemon's."""

_LOCALE = ("LANG", "LC_ALL", "TZ")
"""Inherited too, but an interpreter reads them once, when it starts; no secrets."""

_TIMEOUT = 30.0
_TORCH = re.compile(r"torch-(.+)\.dist-info")


@dataclass(frozen=True)
class Interpreter:
    """The Python that a service runs on.

    Args:
        path: Its program, with links resolved: the images name it so.
        version: All of it, such as ``3.11.7``.
        digest: sha256 of the program.
    """

    path: str
    version: str
    digest: str


@dataclass(frozen=True)
class SnapshotKey:
    """What a snapshot's memory depends on.

    Args:
        bento: Digest of the bento.
        root: Absolute path of its root; the images name mapped files by it.
        python: The interpreter.
        torch: The version of torch in the bento; empty where it has none.
        host: The class of the machine.
        criu: Version of the CRIU that took it.
        environment: Digest of the environment, from :func:`environment_digest`.
        locale: The locale and the time zone, from :func:`locale_of`.
        format: Of the images.
        warmed: Whether it was taken of an instance that had served, whose state is kept in it.
    """

    bento: str
    root: str
    python: Interpreter
    torch: str
    host: HostClass
    criu: str
    environment: str
    locale: str
    format: int = FORMAT
    warmed: bool = False

    @property
    def id(self) -> str:
        """32 hex digits; the same for the same key."""
        return hashlib.sha256(canonical_json(self.to_json())).hexdigest()[:32]

    @property
    def shareable(self) -> bool:
        """Whether it holds nothing but what the bento declares in the open, and no requests."""
        return self.environment.startswith(f"{DECLARED}:") and not self.warmed

    def mismatch(self, here: SnapshotKey) -> str | None:
        """Why a snapshot with this key cannot be used where another is wanted.

        Returns:
            What completes "the snapshot ...", such as "was taken on a CPU with avx512_bf16, which
            this one lacks", or None if the keys are the same.
        """
        if self.bento != here.bento:
            return f"was taken of another bento ({self.bento[:19]})"
        host = self.host.mismatch(here.host)
        if host is not None:
            return f"was taken {host}"
        if self.python.path != here.python.path:
            return (
                f"was taken with the interpreter {self.python.path}, and here it is "
                f"{here.python.path}; the paths must be the same"
            )
        if self.python.version != here.python.version:
            return f"was taken with Python {self.python.version}, here is {here.python.version}"
        if self.python.digest != here.python.digest:
            return f"was taken with another build of {here.python.path}"
        if self.root != here.root:
            return (
                f"was taken with the bento at {self.root}, and here it is at {here.root}; "
                "the paths must be the same (BENTOFN_HOME)"
            )
        if self.torch != here.torch:
            return f"was taken with {_torch(self.torch)}, and here is {_torch(here.torch)}"
        if self.criu != here.criu:
            return f"was taken with CRIU {self.criu}, and here is {here.criu}"
        if self.format != here.format:
            return f"has format {self.format}, and this bentofn knows {here.format}"
        if self.locale != here.locale:
            return f"was taken with {_locale(self.locale)}, and here is {_locale(here.locale)}"
        if self.environment != here.environment:
            return "was taken with other environment variables"
        if self.warmed != here.warmed:
            return "was taken of an instance that had served requests"
        return None

    def to_json(self) -> dict[str, Any]:
        """The key as JSON."""
        return {**asdict(self), "host": self.host.to_json()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> SnapshotKey:
        """Read a key, which may come from elsewhere.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        names = ("bento", "root", "torch", "criu", "locale", "environment")
        texts = {name: _text(raw[name]) for name in names}
        python = {name: _text(raw["python"][name]) for name in ("path", "version", "digest")}
        if type(raw["format"]) is not int:
            raise TypeError("format")
        if type(raw["warmed"]) is not bool:
            raise TypeError("warmed")
        return cls(
            python=Interpreter(**python),
            host=HostClass.from_json(raw["host"]),
            format=raw["format"],
            warmed=raw["warmed"],
            **texts,
        )


def snapshots_directory(home: Home) -> Path:
    """Make the directory of a home's snapshots: memory holds secrets, so it is the owner's only.

    Raises:
        UserError: It cannot be made.
    """
    home.create()
    return make_directory(home.snapshots, 0o700)


def locale_of(env: Mapping[str, str]) -> str:
    """The locale and the time zone that an interpreter starts with, such as ``LANG=C.UTF-8``."""
    return " ".join(f"{name}={env[name]}" for name in _LOCALE if name in env)


def environment_digest(
    home: Home,
    env: Mapping[str, str],
    declared: Mapping[str, str],
    inherited: Mapping[str, str] = os.environ,
) -> str:
    """The digest of the environment that a service is constructed in.

    Args:
        home: Whose random key is used, so that nobody can guess a secret from the digest.
        env: The whole environment.
        declared: What the bento declares with values, which anybody may know.
        inherited: This process's environment.

    Returns:
        ``declared:`` and 64 hex digits, equal on every machine, where there is nothing but what
        the bento declares; else ``keyed:`` and 64 hex digits, of this home only.

    Raises:
        UserError: The home cannot be written.
    """
    counted = {
        name: value
        for name, value in env.items()
        if name not in (*_OWN_VARIABLES, *_LOCALE)
        and not (
            name in _FROM_THE_MACHINE and name not in declared and inherited.get(name) == value
        )
    }
    if addresses.VARIABLE in counted:
        # Where they are is read when they are called; which they are is in the memory.
        counted[addresses.VARIABLE] = ",".join(sorted(addresses.names(counted)))
    data = json.dumps(counted, sort_keys=True).encode()  # variables need not be UTF-8
    if counted == {name: declared[name] for name in declared if name not in _LOCALE}:
        return f"{DECLARED}:{hashlib.sha256(data).hexdigest()}"
    return f"keyed:{hmac.new(_home_key(home), data, hashlib.sha256).hexdigest()}"


def describe_interpreter(python: Path) -> Interpreter:
    """Ask an interpreter for its version, and read it.

    Raises:
        UserError: It does not run.
    """
    path = python.resolve()
    try:
        status = path.stat()
    except OSError as error:
        raise _does_not_run(path) from error
    return _interpreter(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _interpreter(path: Path, _size: int, _mtime_ns: int) -> Interpreter:
    """Asked once as long as the file looks the same: a platform starts many functions."""
    command = [str(path), "-I", "-S", "-c", "import platform; print(platform.python_version())"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, subprocess.SubprocessError) as error:
        raise _does_not_run(path) from error
    return Interpreter(str(path), done.stdout.strip(), digest)


def _does_not_run(path: Path) -> UserError:
    return UserError(f"The interpreter {path} does not run; install it anew.")


def torch_version(root: BentoRoot) -> str:
    """The version of torch that a bento holds; empty where it holds none."""
    try:
        names = sorted(path.name for path in root.environment.iterdir())
    except OSError:
        return ""
    return next((found.group(1) for name in names if (found := _TORCH.fullmatch(name))), "")


def _home_key(home: Home) -> bytes:
    path = snapshots_directory(home) / KEY_FILE
    with home.lock("snapshot-key"):
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            key = b""
        if len(key) != 32:
            key = secrets.token_bytes(32)
            atomic_write(path, key, 0o600)
    return key


def _text(value: object) -> str:
    return printable(value, 4096)


def _locale(locale: str) -> str:
    return locale or "no locale set"


def _torch(version: str) -> str:
    return f"torch {version}" if version else "no torch"
