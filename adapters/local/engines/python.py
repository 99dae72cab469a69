"""The interpreter that runs a bento, and the command that makes it one of its processes."""

from __future__ import annotations

from pathlib import Path

from bentofn.packager.environment.target import find_interpreter as find_python
from bentofn.runtime.layout import INTERPRETER_OPTIONS, BentoRoot

__all__ = ["boot_command", "find_python"]


def boot_command(python: Path, root: Path, process: str, *options: str) -> list[str]:
    """The command line of one of a bento's processes (see ``bentofn.runtime.boot``)."""
    boot = str(BentoRoot(root).boot_script)
    return [str(python), *INTERPRETER_OPTIONS, boot, process, *options]
