"""What a request writes says whose it is, for the platform's log."""

from __future__ import annotations

import io
import os
import sys

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
        self._begins = True

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
        context = current_context.get(None)
        request = context.request_id if context is not None else ""
        if request and "BENTOFN_INSTANCE" in os.environ:
            super().write(self._marked(text, f"{MARK}{request}{MARK}"))
        else:
            super().write(text)
        if text:
            self._begins = text.endswith("\n")
        return len(text)

    def _marked(self, text: str, mark: str) -> str:
        first, *others = text.split("\n")
        first = mark + first if first and self._begins else first
        return "\n".join([first, *(mark + line if line else line for line in others)])


def install() -> None:
    """Have this process's standard output and errors marked from now on; twice is as once."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper:
            setattr(sys, name, MarkedOutput(stream))
