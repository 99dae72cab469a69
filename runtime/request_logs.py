"""What a request writes says whose it is, for the platform's log."""

from __future__ import annotations

import io
import os
import sys
import threading

from bentofn.runtime.context import current_context

MARK = "\x1e"
"""Stands before and behind the request's id at the beginning of a line."""


class MarkedOutput(io.TextIOWrapper):
    """An instance's standard output, each line marked with the request that writes it.

    In a process that is no instance of a platform's it is an output like any other. Lines that are
    written past Python, by a library in C or another process, have no mark.

    Args:
        plain: The output; it is written to through the same buffer.
    """

    def __init__(self, plain: io.TextIOWrapper) -> None:
        super().__init__(
            plain.buffer,
            encoding=plain.encoding,
            errors=plain.errors,
            newline="\n",
            line_buffering=plain.line_buffering,
            write_through=plain.write_through,
        )
        self._plain = plain  # else its end would close the buffer
        self._open = 0
        """The thread that has begun a line and not ended it; 0 if none has."""
        self._ended: set[int] = set()
        """Threads whose line another one had to end."""

    @property
    def mode(self) -> str:
        """As the plain output's."""
        return "w"

    @property
    def name(self) -> str:
        """As the plain output's."""
        return self._plain.name

    def write(self, text: str) -> int:
        """Write a text, and a mark before each line that begins in it."""
        written, own = len(text), threading.get_ident()
        if self._open not in (0, own):
            # Of two threads that print, each has lines of its own: print writes a line's end alone.
            super().write("\n")
            self._ended.add(self._open)
            self._open = 0
        if own in self._ended:
            self._ended.discard(own)
            text = text.removeprefix("\n")
        if text:
            super().write(self._marked(text))
            self._open = 0 if text.endswith("\n") else own
        return written

    def _marked(self, text: str) -> str:
        context = current_context.get(None)
        request = context.request_id if context is not None else ""
        if not request or "BENTOFN_INSTANCE" not in os.environ:
            return text
        mark = f"{MARK}{request}{MARK}"
        first, *others = text.split("\n")
        first = mark + first if first and not self._open else first
        return "\n".join([first, *(mark + line if line else line for line in others)])


def install() -> None:
    """Have this process's standard output and errors marked from now on; twice is as once."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper:
            setattr(sys, name, MarkedOutput(stream))
