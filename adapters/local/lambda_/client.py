"""AWS's runtime interface client, which stands for what Lambda's base images have in /var/runtime.

A bento that brings its own along uses that one, as on Lambda.
"""

from __future__ import annotations

import os
from pathlib import Path

from bentofn.packager.environment.pip_config import read_pip_config
from bentofn.packager.environment.uv import run_uv
from bentofn.packager.files import temporary_directory
from bentofn.packager.home import Home

REQUIREMENTS = ("awslambdaric>=4.2,<5", "mangum>=0.19,<1")
"""The client, and what turns its events into HTTP for :mod:`bentofn.runtime.aws_lambda`."""


def lend_client(lender: Home, borrower: Home, python: str, interpreter: Path) -> None:
    """Spare a home the installation of the client; arguments as for :func:`client_directory`."""
    lent = _directory(borrower, python)
    if not lent.exists():
        kept = client_directory(lender, python, interpreter)
        lent.parent.mkdir(parents=True, exist_ok=True)
        lent.symlink_to(kept)


def client_directory(home: Home, python: str, interpreter: Path) -> Path:
    """A directory with the client for a version of Python, installed once for each home.

    Args:
        home: The home.
        python: The version, such as ``3.12``.
        interpreter: An interpreter of it.

    Raises:
        UserError: It cannot be had.
    """
    directory = _directory(home, python)
    above = directory.parent
    if directory.is_dir():
        return directory
    with home.lock("aws-lambda"):
        if not directory.is_dir():
            home.directory(above)
            with temporary_directory(above) as temporary:
                run_uv(
                    [
                        *("install", "--target", str(temporary / "client"), "--quiet"),
                        *("--python", str(interpreter), *REQUIREMENTS),
                    ],
                    read_pip_config(os.environ),
                    folder=above,
                    what="awslambdaric, which runs functions as Lambda does, cannot be installed",
                    home=home,
                )
                (temporary / "client").rename(directory)
    return directory


def _directory(home: Home, python: str) -> Path:
    return home.cache / "aws-lambda" / f"python{python}"
