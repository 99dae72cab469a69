"""Options that name keys, and where their passphrase comes from."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bentofn.runtime.errors import UserError

if TYPE_CHECKING:
    from bentofn.packager.trust.keys import Signer, VerifyKey

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def verify_key_option(command: Command) -> Command:
    """Add ``--verify-key``."""
    return click.option(
        "--verify-key", type=FILE, metavar="PUB.pem",
        help="Refuse a bento that this key did not sign.",
    )(command)  # fmt: skip


def read_verify_key(path: Path | None) -> VerifyKey | None:
    """The key of ``--verify-key``, or None where none is asked for."""
    if path is None:
        return None
    from bentofn.packager.trust.keys import load_verify_key

    return load_verify_key(path)


def read_signer(path: Path) -> Signer:
    """The private key of a file; an encrypted one's passphrase is asked for."""
    from bentofn.packager.trust.keys import PASSWORD_VARIABLE, load_signer

    def password() -> str:
        found = os.environ.get(PASSWORD_VARIABLE)
        if found is not None:
            return found
        if not sys.stdin.isatty():
            raise UserError(
                f"{path} is encrypted; put its passphrase into the variable {PASSWORD_VARIABLE}, "
                "or run this in a terminal."
            )
        asked: str = click.prompt(f"Passphrase of {path}", hide_input=True, err=True)
        return asked

    return load_signer(path, password)
