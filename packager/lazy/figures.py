"""How many bytes of a lazy bento were fetched, when and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.packager.store import Entry

_PULLED, _MISSED, _REST, _FIRST = "pulled", "missed", "rest", "before-first-answer"


@dataclass(frozen=True)
class Figures:
    """The figures of one bento, each in a file of its own, which one process writes.

    Args:
        directory: Where they stand.
    """

    directory: Path

    @classmethod
    def of(cls, home: Home, entry: Entry) -> Figures:
        """Those of a bento."""
        return cls(home.cache / "lazy" / entry.digest.removeprefix("sha256:"))

    @property
    def fetched(self) -> int:
        """Bytes that were fetched until now."""
        return sum(self._read(name) or 0 for name in (_PULLED, _MISSED, _REST))

    @property
    def before_first_answer(self) -> int | None:
        """Bytes that were fetched until it first answered; None if it has not."""
        return self._read(_FIRST)

    @property
    def misses(self) -> int:
        """Bytes that were fetched because somebody was waiting for them."""
        return self._read(_MISSED) or 0

    def pulled(self, size: int) -> None:
        """So many bytes came with a lazy pull."""
        self._write(_PULLED, (self._read(_PULLED) or 0) + size)

    def missed(self, size: int) -> None:
        """So many bytes in all were asked for before they were here."""
        self._write(_MISSED, size)

    def rest(self, size: int) -> None:
        """So many bytes came in the background."""
        self._write(_REST, (self._read(_REST) or 0) + size)

    def answered(self) -> None:
        """It has answered; only the first time counts."""
        if self.before_first_answer is None:
            self._write(_FIRST, self.fetched)

    def document(self) -> dict[str, int | None]:
        """The figures as plain data; empty for a bento that never was lazy."""
        if not self.directory.is_dir():
            return {}
        return {
            "fetched_bytes": self.fetched,
            "missed_bytes": self.misses,
            "fetched_before_first_answer": self.before_first_answer,
        }

    def _read(self, name: str) -> int | None:
        try:
            return int((self.directory / name).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _write(self, name: str, value: int) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        atomic_write(self.directory / name, str(value).encode())
