"""Applies the safe list to a freshly installed environment, and says what it saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from bentofn.packager.environment.records import recorded, records, rewrite
from bentofn.packager.slim.headers import compiled_with
from bentofn.packager.slim.imported import imported_folders
from bentofn.packager.slim.rules import (
    HEADERS,
    ONNX,
    ONNX_LIBRARY,
    STUBS,
    SYMBOLS,
    TESTS,
    WHOLE,
    folder_of_tests,
    rule_of,
)
from bentofn.packager.slim.strip import Strip, strip_files
from bentofn.runtime.manifest import Saving


def slim_tree(tree: Path, strip: Strip | None) -> tuple[Saving, ...]:
    """Remove and strip what the safe list names; RECORD files are kept true.

    Only files that a RECORD names are touched, and none is written in place, so that other names
    of the same files (an installer's cache) stay as they are.

    Args:
        tree: The environment; nobody else uses it yet.
        strip: Strips debug symbols; None leaves them.

    Returns:
        What each rule saved, the most first.
    """
    files = recorded(tree)
    gone = _removable(tree, files)
    sizes = {path: (tree / path).stat().st_size for path in gone}
    for path in gone:
        (tree / path).unlink()
    _remove_empty(tree, gone)
    kept = [path for path in files if path not in gone and path.split("/")[0] not in WHOLE]
    stripped = strip_files(strip, tree, kept) if strip is not None else {}
    for record in records(tree):
        rewrite(tree, record, stripped, gone)
    return _savings(gone, sizes, stripped)


def _removable(tree: Path, files: Iterable[str]) -> dict[str, str]:
    """Path to rule of the files that go."""
    found = {path: rule for path in files if (rule := rule_of(path)) is not None}
    tested = {path: folder_of_tests(path) for path, rule in found.items() if rule == TESTS}
    python = [path for path in files if path.endswith(".py") and path not in tested]
    needed = imported_folders(tree, python, {folder for folder in tested.values() if folder})
    headers = compiled_with(tree, files)
    return {
        path: rule
        for path, rule in found.items()
        if tested.get(path) not in needed
        and not (rule == HEADERS and path in headers)
        and not (rule == STUBS and _is_read(tree / path))
        and not (rule == ONNX and _is_named(tree, files, ONNX_LIBRARY))
    }


def _is_named(tree: Path, files: Iterable[str], library: bytes) -> bool:
    """Whether code of another package than its own opens a library, as onnxruntime-genai does."""
    code = (path for path in files if path.endswith((".py", ".so")))
    others = (path for path in code if not path.startswith("onnxruntime/"))
    return any(library in (tree / path).read_bytes() for path in others)


def _is_read(stub: Path) -> bool:
    """Whether the module of a stub reads it itself (``lazy_loader.attach_stub``)."""
    module = stub.with_suffix(".py")
    if not module.is_file():
        return False
    text = module.read_bytes()
    return b"attach_stub" in text or b".pyi" in text


def _remove_empty(tree: Path, gone: Iterable[str]) -> None:
    # A folder that is left is a namespace package: an import would find it, and a layer has none.
    folders = {
        parent for path in gone for parent in (tree / path).parents if tree in parent.parents
    }
    for folder in sorted(folders, reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _savings(
    gone: Mapping[str, str], sizes: Mapping[str, int], stripped: Mapping[str, int]
) -> tuple[Saving, ...]:
    files: Counter[str] = Counter(gone.values())
    saved: Counter[str] = Counter()
    for path, rule in gone.items():
        saved[rule] += sizes[path]
    if stripped:
        files[SYMBOLS] = len(stripped)
        saved[SYMBOLS] = sum(stripped.values())
    found = [Saving(rule, files[rule], saved[rule]) for rule in files]
    return tuple(sorted(found, key=lambda saving: (-saving.bytes, saving.rule)))
