"""Where a service may write what outlives its process: an artifact's own files are shared."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot

VARIABLE = "BENTOFN_STATE"
"""Environment variable that names the folder."""


def state_folder(name: str) -> Path:
    """The folder for what a service writes, which may not be there yet.

    It is ``$BENTOFN_STATE`` where that is set. A project writes below its working directory, as
    with BentoML. A bento writes below ``$XDG_STATE_HOME/bentofn/<function or service>``, by default
    ``~/.local/state``, or below :func:`temporary_state` where the user has no home.

    Args:
        name: The service's name.

    Raises:
        UserError: The folder of temporary files is the only place, and not private.
    """
    said = os.environ.get(VARIABLE)
    if said:
        return Path(said)
    if BentoRoot.current() is None:
        return Path()
    home = os.environ.get("XDG_STATE_HOME") or _below_home()
    owner = os.environ.get("BENTOFN_FUNCTION") or name or "service"
    return Path(home, "bentofn", owner) if home else temporary_state() / owner


def temporary_state() -> Path:
    """The user's own folder among the temporary files, where anybody may make folders; it is made.

    Raises:
        UserError: Others may have made it, or may write there.
    """
    folder = Path(tempfile.gettempdir(), f"bentofn-{os.geteuid()}")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
        return folder
    raise UserError(
        f"{folder} is not a folder of this user's alone, so that nothing is kept there; "
        f"remove it, or set {VARIABLE} to a folder that is."
    )


def _below_home() -> str:
    home = os.environ.get("HOME", "")
    return str(Path(home, ".local", "state")) if home and os.access(home, os.W_OK) else ""
