"""Runs one of bentofn's commands and reads its document."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

from bentofn.runtime.errors import MissingDependencyException


class Failed(Exception):  # noqa: N818 - it says what happened
    """A command failed; the text is its sentence."""


def program() -> list[str]:
    """The command line of bentofn itself.

    Raises:
        MissingDependencyException: This is an artifact, which carries the runtime alone.
    """
    if find_spec("bentofn.packager") is None:
        raise MissingDependencyException(
            "A bento can be built, listed or served by a script only where bentofn is installed; "
            "inside of a bento there is the runtime alone."
        )
    return [sys.executable, "-m", "bentofn"]


def run(*arguments: str) -> Any:
    """The JSON document that a command prints.

    Raises:
        Failed: The command failed.
        MissingDependencyException: As :func:`program`.
    """
    command = [*program(), *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    document = json.loads(done.stdout or "{}")
    if done.returncode != 0:
        said = document.get("error") if isinstance(document, dict) else None
        raise Failed(said or f"bentofn {arguments[0]} failed with status {done.returncode}.")
    return document
