"""The files of a project that go into its bento, and their digests.

Patterns have gitignore's meaning (https://git-scm.com/docs/gitignore), as in BentoML.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bentofn.runtime.errors import UserError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

ALWAYS_EXCLUDED = frozenset({".git", ".venv", "venv", "__pycache__", ".DS_Store"})
"""Names that never go into a bento. Source: BentoML's bento build options."""

IGNORE_FILE = ".bentoignore"


@dataclass(frozen=True)
class SourceFile:
    """One file of the project.

    Args:
        path: Where it stands below the code's root in the bento, with ``/``.
        source: Where it stands on this machine.
        stat: Its size, mtime and ctime in nanoseconds, and inode.
        executable: Whether its owner may execute it.
    """

    path: str
    source: Path
    stat: tuple[int, int, int, int]
    executable: bool


@dataclass(frozen=True)
class SourceTree:
    """The files of a project, sorted by path.

    Args:
        files: They.
        warnings: What was left out though it may have been meant, one sentence each.
    """

    files: tuple[SourceFile, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class HashedTree:
    """A source tree with its content.

    Args:
        files: The files, sorted by path.
        digests: Path to SHA-256 of the content, in hex.
    """

    files: tuple[SourceFile, ...]
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of every path, mode and content, in hex."""
        lines = (f"{self.digests[f.path]} {int(f.executable)} {f.path}\0" for f in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def sources(self) -> dict[str, Path]:
        """Path in the bento to the file itself."""
        return {file.path: file.source for file in self.files}

    def python_sources(self) -> dict[str, bytes]:
        """Path to content of the Python files."""
        files = (file for file in self.files if file.path.endswith(".py"))
        return {file.path: file.source.read_bytes() for file in files}


def collect(
    project: Path, include: Sequence[str], exclude: Sequence[str], source_root: str = ""
) -> SourceTree:
    """Find the files that go into a bento.

    Args:
        project: The project's folder.
        include: Patterns of the files to take.
        exclude: Patterns of those to leave out; ``.bentoignore`` files in any folder add to them.
        source_root: Directory whose name is stripped from the paths below it, such as ``src``.

    Raises:
        UserError: A symbolic link leaves the project, two files claim one path, or none is left.
    """
    walk = _Walk(project.resolve(), _spec(include), _spec(exclude))
    prefix = f"{source_root}/" if source_root else ""
    by_path: dict[str, SourceFile] = {}
    for relative, source, stat in walk.files():
        path = relative.removeprefix(prefix)
        if not _is_unicode(path):
            raise UserError(
                f"The name of the file {path!r} is not UTF-8, so that it cannot stand in a layer; "
                f"rename it, or list it in {IGNORE_FILE}."
            )
        if path in by_path:
            raise UserError(
                f"Both {path} and {prefix}{path} of {project} become {path} in the bento; "
                f"remove one, or list one in {IGNORE_FILE}."
            )
        by_path[path] = SourceFile(
            path=path,
            source=source,
            stat=(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino),
            executable=bool(stat.st_mode & 0o100),
        )
    if not by_path:
        raise UserError(
            f"No file of {project} goes into the bento; check include, exclude and {IGNORE_FILE}."
        )
    return SourceTree(
        files=tuple(by_path[path] for path in sorted(by_path)), warnings=tuple(walk.warnings)
    )


def _ignore_lines(prefix: str, folder: Path) -> list[str]:
    try:
        return (folder / IGNORE_FILE).read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, IsADirectoryError):
        raise UserError(f"{prefix}{IGNORE_FILE} is not a UTF-8 text file.") from None


def _is_unicode(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _spec(patterns: Sequence[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise UserError(f"A file pattern cannot be read: {error}.") from None


@dataclass(frozen=True)
class _Ignores:
    """The patterns of one ``.bentoignore``, relative to its folder."""

    folder: str
    spec: GitIgnoreSpec

    def says(self, path: str) -> bool | None:
        return self.spec.check_file(path[len(self.folder) :]).include


class _Walk:
    def __init__(self, project: Path, include: GitIgnoreSpec, exclude: GitIgnoreSpec) -> None:
        self.project = project
        self.include = include
        self.exclude = exclude
        self.warnings: list[str] = []

    def files(self) -> Iterator[tuple[str, Path, os.stat_result]]:
        return self._folder("", self.project, (), (self.project,))

    def _folder(
        self, prefix: str, folder: Path, ignores: tuple[_Ignores, ...], above: tuple[Path, ...]
    ) -> Iterator[tuple[str, Path, os.stat_result]]:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        if any(entry.name == IGNORE_FILE for entry in entries):
            ignores = (*ignores, _Ignores(prefix, _spec(_ignore_lines(prefix, folder))))
        for entry in entries:
            if entry.name in ALWAYS_EXCLUDED:
                continue
            relative = prefix + entry.name
            target = Path(entry.path)
            if entry.is_dir():
                if self._ignored(f"{relative}/", ignores):
                    continue
                if entry.is_symlink():
                    target = self._inside(relative, target)
                    if target in above:
                        self.warnings.append(f"{relative} links to a folder above it: left out.")
                        continue
                yield from self._folder(f"{relative}/", target, ignores, (*above, target))
            elif self.include.match_file(relative) and not self._ignored(relative, ignores):
                yield from self._file(relative, target, entry)

    def _file(
        self, relative: str, path: Path, entry: os.DirEntry[str]
    ) -> Iterator[tuple[str, Path, os.stat_result]]:
        if entry.is_symlink():
            path = self._inside(relative, path)
            if not path.exists():
                self.warnings.append(f"{relative} links to nothing: left out.")
                return
        if not path.is_file():
            self.warnings.append(f"{relative} is neither a file nor a folder: left out.")
            return
        yield relative, path, path.stat()

    def _ignored(self, path: str, ignores: tuple[_Ignores, ...]) -> bool:
        if self.exclude.match_file(path):
            return True
        for ignore in reversed(ignores):
            verdict = ignore.says(path)
            if verdict is not None:
                return verdict
        return False

    def _inside(self, relative: str, link: Path) -> Path:
        try:
            target = link.resolve()
        except (OSError, RuntimeError):
            raise UserError(f"The symbolic link {relative} turns in a circle; remove it.") from None
        if not target.is_relative_to(self.project):
            raise UserError(
                f"The symbolic link {relative} leads out of the project; copy what it points to "
                f"into the project, or list {relative} in {IGNORE_FILE}."
            )
        return target
