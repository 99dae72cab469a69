"""Which functions are deployed: an SQLite database that survives any kill of the platform."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone

from bentofn.adapters.protocol import FunctionSpec
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS deployments (
    function TEXT NOT NULL,
    version INTEGER NOT NULL,
    target TEXT NOT NULL,
    bento TEXT NOT NULL,
    digest TEXT NOT NULL,
    spec TEXT NOT NULL,
    created TEXT NOT NULL,
    live INTEGER NOT NULL,
    PRIMARY KEY (target, function, version)
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS live ON deployments (target, function) WHERE live = 1;
"""


@dataclass(frozen=True)
class Deployment:
    """One version of a function.

    Args:
        spec: What was applied, with the exact tag of the bento.
        version: Its number, from 1.
        digest: The bento's digest.
        created: When, ISO 8601 in UTC.
    """

    spec: FunctionSpec
    version: int
    digest: str
    created: str


class State:
    """The deployments of one target in a home.

    Environment variables of a function are stored as they are; the database is readable by its
    owner only. Every call opens the database for itself, so that any thread may call; each raises
    UserError where the database cannot be read or written.

    Args:
        home: Where the database stands.
        target: The target's name.
    """

    def __init__(self, home: Home, target: str = "local") -> None:
        self._home = home
        self._target = target

    def add(self, spec: FunctionSpec, digest: str) -> Deployment:
        """Make a new version live in the place of the function's former one."""
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        key = (self._target, spec.name)
        with self._transaction() as database:
            (version,) = database.execute(
                "SELECT coalesce(max(version), 0) + 1 FROM deployments "
                "WHERE target = ? AND function = ?",
                key,
            ).fetchone()
            database.execute(
                "UPDATE deployments SET live = 0 WHERE target = ? AND function = ?", key
            )
            database.execute(
                "INSERT INTO deployments "
                "(target, function, version, bento, digest, spec, created, live) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, 1)",
                (*key, version, spec.bento, digest, json.dumps(spec.to_json()), created),
            )
        return Deployment(spec, version, digest, created)

    def activate(self, function: str, version: int) -> Deployment:
        """Make a version that there is live in the place of the one that is.

        Raises:
            UserError: There is no such version.
        """
        key = (self._target, function)
        with self._transaction() as database:
            row = database.execute(
                "SELECT spec, version, digest, created FROM deployments "
                "WHERE target = ? AND function = ? AND version = ?",
                (*key, version),
            ).fetchone()
            if row is None:
                raise UserError(
                    f"Function {function!r} has no version {version} on target {self._target}; "
                    f"bentofn versions {function} lists those that it has."
                )
            database.execute(
                "UPDATE deployments SET live = 0 WHERE target = ? AND function = ?", key
            )
            database.execute(
                "UPDATE deployments SET live = 1 WHERE target = ? AND function = ? AND version = ?",
                (*key, version),
            )
        return _deployment(*row)

    def live(self) -> list[Deployment]:
        """The live version of every function, the one deployed last first."""
        if not self._home.deployments_db.exists():
            return []
        with self._transaction() as database:
            rows = database.execute(
                "SELECT spec, version, digest, created FROM deployments "
                "WHERE target = ? AND live = 1 ORDER BY created DESC, function",
                (self._target,),
            ).fetchall()
        return [_deployment(*row) for row in rows]

    def versions(self, function: str) -> list[Deployment]:
        """All versions of a function, the first one first."""
        if not self._home.deployments_db.exists():
            return []
        with self._transaction() as database:
            rows = database.execute(
                "SELECT spec, version, digest, created FROM deployments "
                "WHERE target = ? AND function = ? ORDER BY version",
                (self._target, function),
            ).fetchall()
        return [_deployment(*row) for row in rows]

    def remove(self, function: str) -> bool:
        """Forget all versions of a function; False if there was none."""
        if not self._home.deployments_db.exists():
            return False
        with self._transaction() as database:
            return (
                database.execute(
                    "DELETE FROM deployments WHERE target = ? AND function = ?",
                    (self._target, function),
                ).rowcount
                > 0
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        path = self._home.create().deployments_db
        if not path.exists():
            path.touch(0o600)
        try:
            with closing(sqlite3.connect(path, timeout=30.0, isolation_level=None)) as database:
                # Not a write-ahead log: reading one takes space, and a full disk has none.
                database.execute("PRAGMA journal_mode = DELETE")
                database.execute("PRAGMA synchronous = FULL")
                database.executescript(_SCHEMA)
                database.execute("BEGIN IMMEDIATE")
                try:
                    yield database
                except BaseException:
                    with suppress(sqlite3.Error):
                        database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
        except sqlite3.Error as error:
            raise UserError(
                f"The deployments in {path} cannot be read or written ({error}); free space on its "
                "disk if that is full, or move a damaged file away and deploy again."
            ) from error


def _deployment(spec: str, version: int, digest: str, created: str) -> Deployment:
    return Deployment(FunctionSpec.from_json(json.loads(spec)), version, digest, created)
