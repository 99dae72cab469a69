"""Look at the files of a model before anything is stored: which to keep, convert or refuse."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bentofn.packager.modelstore.convert import CHECKPOINT_SUFFIXES, INDEX_SUFFIX
from bentofn.packager.store.blobs import open_source
from bentofn.runtime.errors import UserError

Role = Literal["weights", "checkpoint", "file"]

_SHARD_INDEXES = tuple(f"{suffix}{INDEX_SUFFIX}" for suffix in sorted(CHECKPOINT_SUFFIXES))
_PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle")
_PICKLE_START = re.compile(rb"\x80[\x02-\x05]")
"""The PROTO opcode and a protocol that has it. Source: CPython's Lib/pickletools.py."""
_OBJECT_ARRAY = re.compile(rb"'descr':[^}]*\|O")
_ZIP = b"PK\x03\x04"
_NUMPY = b"\x93NUMPY"
_ENOUGH = 4096


@dataclass(frozen=True)
class Found:
    """A file of a model.

    Args:
        path: Its path in the model, with ``/``.
        source: Where it stands.
        role: ``weights`` (safetensors), ``checkpoint`` (torch's, or the index of a sharded one; to
            be converted) or ``file``.
    """

    path: str
    source: Path
    role: Role


def scan(source: Path | Mapping[str, Path]) -> list[Found]:
    """The files of a directory, or the one file, or those of a mapping, in order of their paths.

    Hidden files and ``__pycache__`` are left out.

    Raises:
        UserError: There is nothing there, a link leads out of the directory, a name is not UTF-8,
            or a file holds a pickle that cannot be converted.
    """
    if isinstance(source, Mapping):
        return [Found(path, file.absolute(), _role(file)) for path, file in sorted(source.items())]
    if source.is_file():
        # Alone it is meant as weights, so that .bin can only be torch's: converting it says if not.
        role = "checkpoint" if source.suffix.lower() == ".bin" else _role(source)
        return [Found(source.name, source, role)]
    if not source.is_dir():
        raise UserError(f"There is no file or directory {source} to import a model from.")
    root = source.resolve()
    paths = sorted(_walk(root, root, ()), key=lambda path: path.parts)
    found = [Found(p.as_posix(), root / p, _role(root / p)) for p in paths]
    if not found:
        raise UserError(f"The directory {source} holds no files to import.")
    return found


def _walk(root: Path, folder: Path, above: tuple[Path, ...]) -> list[Path]:
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        _check_name(path)
        real = _resolve(root, path)
        if real.is_dir():
            if real in above or real == root:
                raise UserError(f"The link {path} leads to a folder that holds it; remove it.")
            found += _walk(root, path, (*above, real))
        elif real.is_file():
            found.append(path.relative_to(root))
        else:
            raise UserError(f"{path} is neither a file nor a folder; leave it out.")
    return found


def _check_name(path: Path) -> None:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"The name of the file {str(path)!r} is not UTF-8, so that it cannot stand in a "
            "layer; rename it, or leave it out."
        ) from None


def _resolve(root: Path, path: Path) -> Path:
    real = path.resolve()
    if not real.exists():
        raise UserError(f"The link {path} leads nowhere ({path.readlink()}); remove it.")
    if not real.is_relative_to(root):
        raise UserError(
            f"The link {path} leads out of the model's directory, to {real}; "
            "copy the directory with its links followed (cp -rL) and import the copy."
        )
    return real


def _role(source: Path) -> Role:
    with open_source(source) as file:
        start = file.read(_ENOUGH)
    suffix = source.suffix.lower()
    if suffix == ".safetensors":
        return "weights"
    pickled = bool(_PICKLE_START.match(start)) or (start[:4] == _ZIP and _may_hold_pickle(source))
    if source.name.endswith(_SHARD_INDEXES):
        return "checkpoint"
    # Anybody's binary file may be called .bin; .pt and .pth are torch's.
    if suffix in CHECKPOINT_SUFFIXES and (pickled or suffix != ".bin"):
        return "checkpoint"
    if suffix in _PICKLES or pickled:
        raise UserError(
            f"{source} holds a pickle, which can run any code when it is loaded; leave it out, or "
            "save its tensors as safetensors or with torch.save as .pt (a dictionary of tensors)."
        )
    if _has_objects(source, start):
        raise UserError(
            f"{source} holds an array of Python objects, which is a pickle and can run any code "
            "when it is loaded; leave it out, or save its numbers with a plain dtype."
        )
    return "file"


def _has_objects(source: Path, start: bytes) -> bool:
    if start.startswith(_NUMPY):
        return _OBJECT_ARRAY.search(start) is not None
    if start[:4] != _ZIP or source.suffix.lower() != ".npz":
        return False
    with zipfile.ZipFile(source) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                if _OBJECT_ARRAY.search(member.read(_ENOUGH)):
                    return True
    return False


def _may_hold_pickle(source: Path) -> bool:
    """Whether an archive holds a pickle; of half a download nobody can tell."""
    try:
        with zipfile.ZipFile(source) as archive:
            return any(name.lower().endswith(_PICKLES) for name in archive.namelist())
    except zipfile.BadZipFile:
        return source.suffix.lower() in CHECKPOINT_SUFFIXES
