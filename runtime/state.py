"""Where a service may write what outlives its process: an artifact's own files are shared."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bentofn.runtime.layout import BentoRoot

VARIABLE = "BENTOFN_STATE"
"""Environment variable that names the folder."""


def state_folder(name: str) -> Path:
    """The folder for what a service writes, which may not be there yet.

    It is ``$BENTOFN_STATE`` where that is set. A project writes below its working directory, as
    with BentoML. A bento writes below ``$XDG_STATE_HOME/bentofn/<function or service>``, by default
    ``~/.local/state``, or below the folder of temporary files where the user has no home.

    Args:
        name: The service's name.
    """
    said = os.environ.get(VARIABLE)
    if said:
        return Path(said)
    if BentoRoot.current() is None:
        return Path()
    home = os.environ.get("XDG_STATE_HOME") or _below_home()
    owner = os.environ.get("BENTOFN_FUNCTION") or name or "service"
    return Path(home or tempfile.gettempdir(), "bentofn", owner)


def _below_home() -> str:
    home = os.environ.get("HOME", "")
    return str(Path(home, ".local", "state")) if home and os.access(home, os.W_OK) else ""
