"""Look at the files of a model before anything is stored: which to keep, convert or refuse."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from bentofn.packager.modelstore.convert import CHECKPOINT_SUFFIXES, INDEX_SUFFIX
from bentofn.packager.modelstore.formats import Format, detect, named
from bentofn.packager.modelstore.policy import ANYTHING_SAFE, Policy
from bentofn.packager.store.blobs import open_source
from bentofn.packager.trust.pickles import PickleReport, read_pickles
from bentofn.runtime.errors import UserError

Role = Literal["weights", "checkpoint", "file"]

RAW_MINIMUM = 4 * 1024 * 1024
"""Bytes from which a file is a blob of its own, which readers can map, and not in the archive."""

_SHARD_INDEXES = tuple(f"{suffix}{INDEX_SUFFIX}" for suffix in sorted(CHECKPOINT_SUFFIXES))
_PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle")
_PICKLE_START = re.compile(rb"\x80[\x02-\x05]")
"""The PROTO opcode and a protocol that has it. Source: CPython's Lib/pickletools.py."""
_OBJECT_ARRAY = re.compile(rb"'descr':[^}]*\|O")
_ZIP = b"PK\x03\x04"
_NUMPY = b"\x93NUMPY"
_ENOUGH = 4096
# Suffixes that other programs have too: only what is inside says whether torch wrote it.
_NOT_ONLY_TORCHS = (".bin", ".ckpt")

# What each library's own safe format is called, and how its models get there.
_CONVERSIONS = {
    "sklearn": "skops.io.dump(model, 'model.skops')",
    "xgboost": "model.save_model('model.ubj')",
    "lightgbm": "model.booster_.save_model('model.txt')",
    "catboost": "model.save_model('model.cbm')",
}


@dataclass(frozen=True)
class Found:
    """A file of a model.

    Args:
        path: Its path in the model, with ``/``.
        source: Where it stands.
        role: ``weights`` (safetensors), ``checkpoint`` (torch's, or the index of a sharded one; to
            be converted) or ``file``.
        format: The name of its format, if it has one of those that are stored as they are.
        beside: Paths in the model of the files that it needs.
        raw: Whether it becomes a blob of its own.
        pickles: What its pickles import.
        notes: What the user should know of it.
    """

    path: str
    source: Path
    role: Role
    format: str = ""
    beside: tuple[str, ...] = ()
    raw: bool = False
    pickles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def scan(source: Path | Mapping[str, Path], policy: Policy = ANYTHING_SAFE) -> list[Found]:
    """The files of a directory, or the one file, or those of a mapping, in order of their paths.

    Hidden files and ``__pycache__`` are left out. One file brings those that it needs.

    Raises:
        UserError: There is nothing there, a link leads out of the directory, a name is not UTF-8,
            a file is damaged, or it holds a pickle that cannot be converted and is not allowed.
    """
    if isinstance(source, Path) and source.is_file():
        return _one_file(source, policy)
    if policy.format is not None:
        raise UserError("--format is for one file; in a folder each file says what it is.")
    if isinstance(source, Mapping):
        files = {path: file.absolute() for path, file in sorted(source.items())}
    elif source.is_dir():
        root = source.resolve()
        paths = sorted(_walk(root, root, ()), key=lambda path: path.parts)
        files = {path.as_posix(): root / path for path in paths}
    else:
        raise UserError(f"There is no file or directory {source} to import a model from.")
    if not files:
        raise UserError(f"The directory {source} holds no files to import.")
    found = [_look(path, file, policy) for path, file in files.items()]
    for file in found:
        for path in file.beside:
            if path not in files:
                raise UserError(f"{file.path} needs {path}, which is left out; import both.")
    return found


def _one_file(source: Path, policy: Policy) -> list[Found]:
    # Alone it is meant as weights, so that .bin can only be torch's: converting it says if not.
    if policy.format is None and source.suffix.lower() == ".bin":
        found = _look(source.name, source, policy)
        return [found if found.format else Found(source.name, source, "checkpoint")]
    found = _look(source.name, source, policy)
    beside = [_look(path, source.parent / path, ANYTHING_SAFE) for path in found.beside]
    return [found, *beside]


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


def _look(path: str, source: Path, policy: Policy) -> Found:
    with open_source(source) as file:
        start = file.read(_ENOUGH)
    suffix = source.suffix.lower()
    if suffix == ".safetensors":
        return Found(path, source, "weights")
    if source.name.endswith(f".safetensors{INDEX_SUFFIX}"):
        return Found(path, source, "file", beside=_beside(path, source))
    known = detect(source, start) if policy.format is None else named(policy.format)
    raw = source.stat().st_size >= RAW_MINIMUM
    if policy.made_here:
        return _made_here(path, source, start, known, raw)
    if known is not None:
        checked = known.check(source, policy)
        folder = PurePosixPath(path).parent
        beside = tuple(str(folder / name) for name in checked.beside)
        raw = raw or known.mapped
        return Found(path, source, "file", known.name, beside, raw, notes=checked.notes)
    pickled = bool(_PICKLE_START.match(start)) or (start[:4] == _ZIP and _may_hold_pickle(source))
    if source.name.endswith(_SHARD_INDEXES):
        return Found(path, source, "checkpoint")
    if suffix in CHECKPOINT_SUFFIXES and (pickled or suffix not in _NOT_ONLY_TORCHS):
        return Found(path, source, "checkpoint")
    if suffix in _PICKLES or pickled:
        content = _allowed_pickle(source, policy)
        notes = [f"{path} holds a pickle, carried as it is: loading it imports "
                 f"{', '.join(content.names) or 'nothing'}."]  # fmt: skip
        if content.dangerous:
            can = ", ".join(content.dangerous)
            notes.append(f"Of these {can} can run any code; carry it only if you made it.")
        return Found(path, source, "file", "pickle", (), raw, content.names, tuple(notes))
    if _has_objects(source, start):
        raise UserError(
            f"{source} holds an array of Python objects, which is a pickle and can run any code "
            "when it is loaded; leave it out, or save its numbers with a plain dtype."
        )
    return Found(path, source, "file", raw=raw)


def _made_here(path: str, source: Path, start: bytes, known: Format | None, raw: bool) -> Found:
    """A file of the user's own, kept as it is: their code opens it by its name."""
    if known is not None:
        return Found(path, source, "file", known.name, (), raw or known.mapped)
    pickled = source.suffix.lower() in _PICKLES or _PICKLE_START.match(start)
    zipped = start[:4] == _ZIP and _may_hold_pickle(source)
    if pickled or zipped or _has_objects(source, start):
        return Found(path, source, "file", "pickle", (), raw, _own_pickle(source))
    return Found(path, source, "file", raw=raw)


def _beside(path: str, source: Path) -> tuple[str, ...]:
    """The paths in the model of the files that an index of safetensors names."""
    names = shard_names(source)
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(
                f"{source} says that tensors are in {name!r}, which is outside of its folder; save "
                "the model again with its files beside it."
            )
    return tuple(sorted({str(PurePosixPath(path).parent / name) for name in names}))


def shard_names(index: Path) -> tuple[str, ...]:
    """The files that the index of a sharded model names; of what is no index, none."""
    try:
        return tuple({str(name) for name in json.loads(index.read_bytes())["weight_map"].values()})
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return ()


def _allowed_pickle(source: Path, policy: Policy) -> PickleReport:
    """What a pickle imports, if it may be carried."""
    with source.open("rb") as file:
        content = read_pickles(file)
    if not policy.allow_pickle:
        raise UserError(f"{source} holds a pickle, which can run any code when it is loaded; "
                        f"{_instead(content.names, policy.pickle_option)}.")  # fmt: skip
    if content.hostile:
        raise UserError(
            f"{source} is refused, allowed or not: loading it calls {content.hostile[0]}, which "
            "runs commands and is in no model."
        )
    if content.broken:
        raise UserError(
            f"{source} is refused, allowed or not: its pickle cannot be read to its end, so that "
            "nobody can say what it runs; save it again."
        )
    return content


def _own_pickle(source: Path) -> tuple[str, ...]:
    """What a pickle of the user's own imports, as far as it can be followed."""
    if not zipfile.is_zipfile(source):
        with source.open("rb") as file:
            return read_pickles(file).names
    names: set[str] = set()
    with zipfile.ZipFile(source) as archive:
        for member in archive.namelist():
            if member.lower().endswith(_PICKLES):
                with archive.open(member) as file:
                    names.update(read_pickles(file).names)
    return tuple(sorted(names))


def _instead(names: tuple[str, ...], option: str) -> str:
    libraries = {name.partition(".")[0] for name in names}
    for library, conversion in _CONVERSIONS.items():
        if library in libraries:
            return (
                f"it is a model of {library}: load it where it was made, save it with "
                f"{conversion} and import that, or carry it as it is with {option}"
            )
    return (
        "leave it out, save its tensors as safetensors or with torch.save as .pt (a dictionary of "
        f"tensors), or carry it as it is with {option}"
    )


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
