"""How commands speak: progress on stderr, results on stdout, one JSON document with ``--json``."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click

Report = Callable[[str], None]
Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """Add ``--json``: the result as one JSON document on stdout."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document on stdout."
    )(command)


def print_json(document: object) -> None:
    """Print the one document of a command."""
    click.echo(json.dumps(document, indent=2, default=str))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns as wide as their widest cell."""
    cells = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


@contextmanager
def progress(*, spinner: bool = True) -> Iterator[Report]:
    """Report steps on stderr: a spinner on a terminal, plain lines elsewhere.

    Args:
        spinner: Whether a terminal gets one; not where something else shows bars of its own.
    """
    if not spinner or not sys.stderr.isatty():
        yield lambda step: click.echo(step, err=True)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    running: list[tuple[str, float]] = []
    reporting = threading.Lock()  # several threads may move blobs

    def finish() -> None:
        for step, began in running:
            took = f"  {time.monotonic() - began:.1f} s"
            console.print(Text.assemble(("✓ ", "green"), step, (took, "dim")))
        running.clear()

    with console.status("") as status:

        def report(step: str) -> None:
            with reporting:
                finish()
                running.append((step, time.monotonic()))
                status.update(Text(step))

        yield report
        finish()
