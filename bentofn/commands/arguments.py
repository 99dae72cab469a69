"""Arguments for a service on a command line: ``--arg`` and ``--arg-file``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from bentofn.commands.output import Command
from bentofn.runtime.errors import UserError


def argument_options(command: Command) -> Command:
    """Add ``--arg`` and ``--arg-file``, which come as ``arguments`` and ``argument_file``."""
    command = click.option(
        "--arg-file", "argument_file", metavar="FILE.yaml",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A YAML mapping of arguments.",
    )(command)  # fmt: skip
    return click.option(
        "--arg", "arguments", multiple=True, metavar="NAME=VALUE",
        help="An argument that the service reads with use_arguments(); may be repeated.",
    )(command)  # fmt: skip


def read_arguments(arguments: Iterable[str], file: Path | None) -> dict[str, Any]:
    """The arguments of a command line: those of the file, and over them the single ones.

    Raises:
        UserError: One has no ``=``, or the file holds no mapping.
    """
    values = {} if file is None else _of_file(file)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name:
            raise UserError(
                f"--arg {argument!r} is not NAME=VALUE; write for example --arg model=small."
            )
        values[name] = value
    return values


def _of_file(file: Path) -> dict[str, Any]:
    import yaml  # most calls give no file

    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        values = None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise UserError(f"--arg-file {file} must hold a YAML mapping of names to values.")
    return values
