"""AWS's runtime interface client, which stands for what Lambda's base images have in /var/runtime.

A bento that brings its own along uses that one, as on Lambda.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from bentofn.packager.environment.target import Target, host_platform
from bentofn.packager.files import temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.lambda_.libraries import CLIENT, EVENTS, install_libraries

REQUIREMENTS = (*CLIENT, *EVENTS)
"""The client, and what :mod:`bentofn.runtime.aws_lambda` needs."""


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
                target = Target(python, host_platform(), interpreter)
                install_libraries(temporary / "client", target, REQUIREMENTS, home)
                (temporary / "client").rename(directory)
    return directory


def _directory(home: Home, python: str) -> Path:
    named = hashlib.sha256("\n".join(REQUIREMENTS).encode()).hexdigest()[:12]
    return home.cache / "aws-lambda" / f"python{python}-{named}"
