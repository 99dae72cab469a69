"""Where a lone instance keeps its tasks, and opening them there."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import sqlite3
from pathlib import Path

from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.state import VARIABLE, state_folder, temporary_state
from bentofn.runtime.tasks.tasks import Call, Tasks

logger = logging.getLogger("bentofn.server")


async def open_tasks(service: str, call: Call, limit: int) -> Tasks:
    """Open a service's tasks and take up what was left; needs a loop.

    Args:
        service: Its name.
        call: Runs a task.
        limit: Tasks that run at a time.

    Raises:
        UserError: The database cannot be opened now, as on a full disk.
    """
    path = tasks_database(service)
    tasks = Tasks(path, call, limit)
    try:
        await tasks.start()
    except (OSError, sqlite3.Error) as error:
        if not _is_for_good(error):
            raise UserError(
                f"The tasks of {service} cannot be kept in {path} now ({error}); make "
                f"room there, or set {VARIABLE} to another folder."
            ) from error
        path = _fallback(tasks.path)
        logger.warning(
            "Tasks are kept in %s, among the temporary files, because %s cannot be written "
            "(%s); set %s to a folder that can.", path, tasks.path, error, VARIABLE,
        )  # fmt: skip
        tasks = Tasks(path, call, limit)
        await tasks.start()
    else:
        print(f"Tasks are kept in {path}", flush=True)
    return tasks


def tasks_database(service: str) -> Path:
    """Where a lone instance keeps its tasks.

    In a bento below the folder of its state; of a project, whose own folder is packed, below
    ``$BENTOFN_HOME`` (``~/.bentofn``), for each folder apart.
    """
    if os.environ.get(VARIABLE) or BentoRoot.current() is not None:
        return state_folder(service) / "tasks" / f"{service}.db"
    try:
        home = Path(os.environ.get("BENTOFN_HOME") or "~/.bentofn").expanduser()
    except RuntimeError:  # a user without a home
        home = temporary_state()
    return home / "tasks" / "serve" / f"{service}-{_digest(Path.cwd())}.db"


def _is_for_good(error: OSError | sqlite3.Error) -> bool:
    """Whether a place may not be written at all; tasks of before may be in any other."""
    if isinstance(error, sqlite3.Error):
        return "readonly" in str(error)  # Python 3.10 has no code of it
    forbidden = isinstance(error, (PermissionError, NotADirectoryError, FileExistsError))
    return forbidden or error.errno == errno.EROFS


def _fallback(path: Path) -> Path:
    """Where tasks are kept whose place cannot be written; all workers of a service go there."""
    return temporary_state() / "tasks" / f"{path.stem}-{_digest(path)}.db"


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:12]
