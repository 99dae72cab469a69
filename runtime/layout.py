"""Where things stand inside a bento's root directory: the same on every target."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ARCHIVE_PREFIX = "opt/bento"
"""Directory that every layer's entries stand under, so that layers compose onto any base image."""

INTERPRETER_OPTIONS = ("-I", "-S", "-u")
"""How an interpreter is started: without the host's packages and settings, and unbuffered."""


@dataclass(frozen=True)
class BentoRoot:
    """A bento's unpacked files.

    Args:
        path: The directory that holds ``bento.json``, ``src``, ``runtime``, ``env`` and ``models``.
        code: The directory that holds the first two where they stand apart, as in a Lambda zip.
    """

    path: Path
    code: Path | None = None

    @property
    def manifest(self) -> Path:
        """The bento manifest, canonical JSON."""
        return (self.code or self.path) / "bento.json"

    @property
    def source(self) -> Path:
        """The project's code; the working directory of an instance."""
        return (self.code or self.path) / "src"

    @property
    def runtime(self) -> Path:
        """The directory that holds the slim ``bentofn`` package."""
        return self.path / "runtime"

    @property
    def environment(self) -> Path:
        """The installed dependencies."""
        return self.path / "env"

    @property
    def models(self) -> Path:
        """Model files, as ``<name>/<version>/...``."""
        return self.path / "models"

    @property
    def compiled(self) -> Path:
        """Compiled code that is kept with the bento (``bentofn.runtime.kept``); few have any."""
        return self.path / "compiled"

    @property
    def compiled_here(self) -> Path:
        """The same, from the bento's first use on this machine."""
        return self.path / "compiled-here"

    @property
    def boot_script(self) -> Path:
        """The script that an interpreter runs to become a process of this bento."""
        return self.runtime / "bentofn" / "runtime" / "boot.py"

    @classmethod
    def in_image(cls) -> BentoRoot:
        """Where a bento stands in a container image."""
        return cls(Path("/", ARCHIVE_PREFIX))

    @classmethod
    def current(cls) -> BentoRoot | None:
        """The root that this process runs from, or None in a project that was not built."""
        value, code = os.environ.get("BENTOFN_ROOT"), os.environ.get("BENTOFN_CODE")
        return cls(Path(value), Path(code) if code else None) if value else None


def boot_command(python: Path, root: Path, process: str, *options: str) -> list[str]:
    """The command line of one of a bento's processes (see ``bentofn.runtime.boot``)."""
    boot = str(BentoRoot(root).boot_script)
    return [str(python), *INTERPRETER_OPTIONS, boot, process, *options]
