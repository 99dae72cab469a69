"""Tasks on disk: an SQLite database that survives any kill of who uses it.

Several processes may share one; each takes over what those that have ended left.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from bentofn.runtime.tasks.owners import Owner

PENDING, IN_PROGRESS = "pending", "in_progress"
COMPLETED, FAILED, CANCELED = "completed", "failed", "canceled"

RETENTION = 24 * 60 * 60.0
"""Seconds that a task is kept after its end; BentoML's number."""

Headers = tuple[tuple[str, str], ...]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    route TEXT NOT NULL,
    query TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL,
    owner TEXT NOT NULL,
    begun INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    executed REAL,
    ended REAL,
    reply_status INTEGER,
    reply_headers TEXT,
    reply BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS unfinished ON tasks (state) WHERE ended IS NULL;
CREATE INDEX IF NOT EXISTS finished ON tasks (ended) WHERE ended IS NOT NULL;
"""


@dataclass(frozen=True)
class TaskRequest:
    """A call as it was submitted.

    Args:
        id: The task's id.
        route: The path that answers such calls directly.
        query: The query string, without its question mark.
        headers: The headers, names in lower case.
        body: The body.
    """

    id: str
    route: str
    query: str
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Replay:
    """A response that was kept.

    Args:
        status: HTTP status.
        headers: The headers, names in lower case.
        body: The body.
    """

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class TaskRow:
    """How far a task is. Times are in seconds since the epoch.

    Args:
        id: Its id.
        state: One of the five states.
        created: When it was submitted.
        executed: When it was begun last; None while it waits.
        ended: When it ended; None until then.
    """

    id: str
    state: str
    created: float
    executed: float | None
    ended: float | None

    def to_json(self) -> dict[str, str | None]:
        """BentoML's body of a status: what waits is in progress, too."""
        body = {
            "task_id": self.id,
            "status": IN_PROGRESS if self.state == PENDING else self.state,
            "created_at": _iso(self.created),
            "executed_at": _iso(self.executed),
        }
        return body if self.ended is None else {**body, "completed_at": _iso(self.ended)}


def _iso(seconds: float | None) -> str | None:
    """A time as BentoML writes it: UTC without saying so, in whole seconds."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(int(seconds), timezone.utc)
    return moment.replace(tzinfo=None).isoformat()


class TaskStore:
    """The tasks in one database; its methods are for one thread at a time.

    Args:
        path: The database; it and its directory are made, readable by their owner only.

    Raises:
        OSError: The directory cannot be made.
        sqlite3.Error: The database cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(0o600)
        self.owner = Owner(path)
        try:
            self._database = sqlite3.connect(
                path, timeout=30.0, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(_SCHEMA)
            self._seen = self._version()
        except sqlite3.Error:
            self.owner.close()
            raise

    def close(self) -> None:
        """Close the database; what this process has not finished is for the next."""
        self._database.close()
        self.owner.close()

    def add(self, request: TaskRequest, now: float) -> None:
        """Keep a task that was submitted to this process."""
        self._database.execute(
            "INSERT INTO tasks (id, route, query, headers, body, state, owner, created) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                request.id,
                request.route,
                request.query,
                json.dumps(request.headers),
                request.body,
                PENDING,
                self.owner.id,
                now,
            ),
        )

    def request(self, task: str) -> TaskRequest | None:
        """What was submitted."""
        row = self._database.execute(
            "SELECT id, route, query, headers, body FROM tasks WHERE id = ?", (task,)
        ).fetchone()
        if row is None:
            return None
        found, route, query, headers, body = row
        return TaskRequest(found, route, query, _headers(headers), body)

    def begin(self, task: str, now: float) -> TaskRequest | None:
        """A task is begun; None if it was cancelled meanwhile."""
        changed = self._database.execute(
            "UPDATE tasks SET state = ?, begun = begun + 1, executed = ? "
            "WHERE id = ? AND ended IS NULL",
            (IN_PROGRESS, now, task),
        )
        return self.request(task) if changed.rowcount else None

    def wait_again(self, task: str, *, counts: bool) -> None:
        """A task that was begun has not ended.

        Args:
            task: Its id.
            counts: Whether it counts as begun.
        """
        self._database.execute(
            "UPDATE tasks SET state = ?, executed = NULL, begun = begun - ? "
            "WHERE id = ? AND state = ?",
            (PENDING, 0 if counts else 1, task, IN_PROGRESS),
        )

    def finish(self, task: str, reply: Replay, now: float) -> None:
        """A task has a result; one that was cancelled meanwhile stays so.

        What ended longer ago than :data:`RETENTION` is forgotten.
        """
        self._database.execute(
            "UPDATE tasks SET state = ?, ended = ?, reply_status = ?, reply_headers = ?, reply = ? "
            "WHERE id = ? AND ended IS NULL",
            (
                COMPLETED if reply.status < 400 else FAILED,
                now,
                reply.status,
                json.dumps(reply.headers),
                reply.body,
                task,
            ),
        )
        with contextlib.suppress(sqlite3.OperationalError):  # a full disk: the next one does it
            self._database.execute("DELETE FROM tasks WHERE ended < ?", (now - RETENTION,))

    def cancel(self, task: str, now: float) -> TaskRow | None:
        """Cancel a task unless it has ended; how it then stands, None if there is none."""
        self._database.execute(
            "UPDATE tasks SET state = ?, ended = ? WHERE id = ? AND ended IS NULL",
            (CANCELED, now, task),
        )
        return self.row(task)

    def row(self, task: str) -> TaskRow | None:
        """How far a task is."""
        found = self._database.execute(
            "SELECT id, state, created, executed, ended FROM tasks WHERE id = ?", (task,)
        ).fetchone()
        return None if found is None else TaskRow(*found)

    def reply(self, task: str) -> Replay | None:
        """The result of a task; None if it has none."""
        found = self._database.execute(
            "SELECT reply_status, reply_headers, reply FROM tasks "
            "WHERE id = ? AND reply_status IS NOT NULL",
            (task,),
        ).fetchone()
        return None if found is None else Replay(found[0], _headers(found[1]), found[2])

    def recover(self) -> list[tuple[str, int]]:
        """Take over the unfinished tasks of processes that have ended.

        Returns:
            Their ids and how often each was begun, in the order of their submission.
        """
        self.owner.tidy()
        rows = self._database.execute(
            "SELECT DISTINCT owner FROM tasks WHERE ended IS NULL AND owner != ?", (self.owner.id,)
        ).fetchall()
        gone = [owner for (owner,) in rows if self.owner.is_gone(owner)]
        left = "ended IS NULL AND owner IN (SELECT value FROM json_each(?))"
        taken = self._database.execute(
            f"UPDATE tasks SET owner = ?, state = ?, executed = NULL WHERE {left} "
            "RETURNING number, id, begun",
            (self.owner.id, PENDING, json.dumps(gone)),
        ).fetchall()
        return [(task, begun) for _, task, begun in sorted(taken)]

    def ended_elsewhere(self, tasks: Sequence[str]) -> list[str]:
        """Which of this process's unfinished tasks another one has cancelled since the last call.

        It costs next to nothing while nobody else writes.
        """
        version = self._version()
        if version == self._seen:
            return []
        self._seen = version
        rows = self._database.execute(
            "SELECT id FROM tasks WHERE ended IS NOT NULL "
            "AND id IN (SELECT value FROM json_each(?))",
            (json.dumps(tasks),),
        )
        return [task for (task,) in rows]

    def _version(self) -> int:
        version: int = self._database.execute("PRAGMA data_version").fetchone()[0]
        return version


def _headers(text: str) -> Headers:
    return tuple((name, value) for name, value in json.loads(text))
