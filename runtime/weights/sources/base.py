"""What weights are read from."""

from __future__ import annotations

from typing import Protocol

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import SafetensorsHeader


class Source(Protocol):
    """A safetensors file, wherever it is, which several threads read at once.

    Attributes:
        name: For messages.
        header: What it holds.
    """

    @property
    def name(self) -> str: ...

    @property
    def header(self) -> SafetensorsHeader: ...

    def read(self, offset: int, target: memoryview, room: memoryview | None = None) -> None:
        """Fill memory with a part of the file.

        Args:
            offset: Where the part begins in the file.
            target: Where to write; its length is the part's.
            room: Memory that begins where ``target`` does and goes on behind it, of whole pages at
                a page, which may be written too: for reads that pass the page cache.

        Raises:
            UserError: It was changed since it was opened, or cannot be read any more.
        """

    def check(self) -> None:
        """Check that nobody changed it since it was opened.

        Raises:
            UserError: Somebody did.
        """

    def close(self) -> None:
        """Give back what it holds."""


def changed(name: object) -> UserError:
    """The error of a file that is not any more what it was."""
    return UserError(
        f"{name} was changed while it was read; load it again, and replace such files by renaming "
        "the new one."
    )
