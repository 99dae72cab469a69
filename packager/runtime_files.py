"""The runtime that every bento carries: the slim ``bentofn`` package, as files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import bentofn
from bentofn.runtime.surface import MODULES

FRONT = ("__init__.py", *(f"{name}.py" for name in MODULES))
"""Files of ``bentofn/`` itself that a service imports; the rest of the runtime is a package."""


def runtime_files() -> dict[str, Path]:
    """Path below the bento's ``runtime`` folder to the file in this installation, sorted."""
    package = Path(bentofn.__file__).parent
    files = {f"bentofn/{name}": package / name for name in FRONT}
    runtime = package / "runtime"
    for folder, folders, names in os.walk(runtime):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            path = Path(folder) / name
            files[f"bentofn/runtime/{path.relative_to(runtime).as_posix()}"] = path
    return {path: files[path] for path in sorted(files) if files[path].is_file()}


def runtime_digest(files: Mapping[str, Path]) -> str:
    """SHA-256 of the paths and content of the runtime's files, in hex."""
    digest = hashlib.sha256()
    for path, file in files.items():
        digest.update(f"{path}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
