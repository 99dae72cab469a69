"""Runs uv, the resolver and installer, and turns what it says into a sentence."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from bentofn.packager.environment.index_settings import IndexSettings, mask
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

ESSENCE = 400
"""Longest explanation of uv that is shown, in characters."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_ASKED = re.compile(r"error sending request for url \((\S+)\)")
_CAUSE = re.compile(r"^\W*(?:cause|caused by): (.+)$", re.IGNORECASE | re.MULTILINE)
_PREAMBLE = re.compile(r"^No solution found when resolving dependencies:?( cause:)? *")
_TREE = re.compile(r"^[\s│├└╰─▶×·]+", re.MULTILINE)


def uv_binary() -> Path:
    """The uv program of the ``uv`` package.

    Raises:
        UserError: The package was installed without it.
    """
    import uv

    try:
        return Path(os.fsdecode(uv.find_uv_bin()))
    except FileNotFoundError:
        raise UserError(
            "The uv package is installed without its program; run `pip install --force-reinstall "
            "uv`."
        ) from None


def run_uv(
    arguments: Sequence[str],
    settings: IndexSettings,
    *,
    folder: Path,
    what: str,
    home: Home,
    stdin: str | None = None,
    command: Sequence[str] = ("pip",),
    variables: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Run uv and give back what it prints.

    Args:
        arguments: What follows the command.
        settings: Where packages come from.
        folder: The working directory: the project, whose uv configuration counts.
        what: What was being done, to start the message of a failure with.
        home: The home that is written to, for the message of a full disk.
        stdin: What uv reads from its standard input.
        command: uv's command.
        variables: Added to its environment.

    Raises:
        UserError: uv failed; the message is its explanation, shortened and without passwords.
    """
    done = subprocess.run(
        [str(uv_binary()), *command, *arguments, *settings.uv_arguments(), "--color", "never"],
        cwd=folder,
        env={**settings.uv_environment(os.environ), **variables},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout
    if "No space left on device" in done.stderr or "os error 28" in done.stderr:
        raise UserError(
            f"The disk that holds {home.path} (or uv's cache) is full; free some space there, "
            "or set BENTOFN_HOME to a directory on another disk."
        )
    raise UserError(unreachable(done.stderr) or f"{what}: {essence(done.stderr)}")


def unreachable(stderr: str) -> str | None:
    """A sentence, if uv could not reach an index: which, why, and what to do."""
    asked = _ASKED.search(_ANSI.sub("", stderr))
    if asked is None:
        return None
    causes = _CAUSE.findall(stderr) or ["no answer"]
    return (
        f"{mask(asked[1])} cannot be reached: {mask(causes[-1].strip())}; try again when it can, "
        "or set UV_OFFLINE=1 to take what uv's cache has."
    )


def essence(stderr: str) -> str:
    """uv's explanation in one line: no colours, no drawing, no repeated hints, no passwords."""
    text = _ANSI.sub("", stderr)
    lines = [
        _TREE.sub("", line).removeprefix("error: ").strip()
        for line in text.splitlines()
        if not line.startswith(("Using ", "warning: ", "Resolved ", "Resolving "))
    ]
    joined = mask(" ".join(line for line in lines if line))
    joined = _PREAMBLE.sub("", joined)
    if len(joined) > ESSENCE:
        joined = joined[:ESSENCE].rsplit(" ", 1)[0] + " ..."
    return joined or "uv failed without saying why; run it again with RUST_LOG=debug."
