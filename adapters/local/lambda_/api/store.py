"""What is set by Lambda's API, and the events that wait, on disk: they survive the platform."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentofn.adapters.local.core.invocations.queue import Entry

_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (
    function TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (function, kind, name)
) STRICT;
CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY,
    function TEXT NOT NULL,
    payload BLOB NOT NULL,
    client_context BLOB,
    trace_id TEXT,
    entry TEXT NOT NULL,
    record TEXT,
    destination TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS events_of ON events (function);
"""


@dataclass(frozen=True)
class Message:
    """What an event carries.

    Args:
        payload: JSON.
        client_context: JSON of the caller's, or None.
        trace_id: The X-Ray header, or None.
    """

    payload: bytes
    client_context: bytes | None = None
    trace_id: str | None = None


@dataclass(frozen=True)
class Parcel:
    """A record on its way.

    Args:
        id: Its own: the event's, or one made of that for a second record of it.
        function: Whose event it was.
        record: The record, or the letter of a dead-letter queue, JSON.
        destination: An ARN, or empty where it goes to the function's dead letters.
    """

    id: str
    function: str
    record: str
    destination: str


class Store:
    """One database; its methods are for one thread at a time.

    Args:
        path: The database; it and its directory are made, readable by their owner only.

    Raises:
        OSError: The directory cannot be made.
        sqlite3.Error: The database cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(0o600)
        self._database = sqlite3.connect(
            path, timeout=30.0, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[Store]:
        """Have all or nothing of a block on disk when it is left."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self
            self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise

    def settings(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """All that was set: function, kind, name and document."""
        rows = self._database.execute("SELECT function, kind, name, document FROM settings")
        return [(function, kind, name, json.loads(raw)) for function, kind, name, raw in rows]

    def set(self, function: str, kind: str, name: str, document: Mapping[str, Any] | None) -> None:
        """Set something of a function's, or, with None, unset it."""
        if document is None:
            self._database.execute(
                "DELETE FROM settings WHERE function = ? AND kind = ? AND name = ?",
                (function, kind, name),
            )
        else:
            self._database.execute(
                "INSERT OR REPLACE INTO settings VALUES (?, ?, ?, ?)",
                (function, kind, name, json.dumps(document)),
            )

    def forget(self, function: str) -> None:
        """Forget all of a function, what waits for it included."""
        self._database.execute("DELETE FROM settings WHERE function = ?", (function,))
        self._database.execute("DELETE FROM events WHERE function = ?", (function,))

    def accept(self, function: str, entry: Entry, message: Message) -> bool:
        """Take in an event; False if one of this id is here already."""
        inserted = self._database.execute(
            "INSERT OR IGNORE INTO events (id, function, payload, client_context, trace_id, entry) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                entry.id,
                function,
                message.payload,
                message.client_context,
                message.trace_id,
                json.dumps(dataclasses.asdict(entry)),
            ),
        )
        return inserted.rowcount > 0

    def keep(self, entry: Entry) -> None:
        """Keep how far an event is."""
        self._database.execute(
            "UPDATE events SET entry = ? WHERE id = ?",
            (json.dumps(dataclasses.asdict(entry)), entry.id),
        )

    def finish(self, id: str, parcels: Sequence[Parcel]) -> None:
        """An event is over, and its records are to be delivered: it is not invoked again."""
        removed = self._database.execute("DELETE FROM events WHERE id = ?", (id,))
        if not removed.rowcount:
            return  # the function is no more
        self._database.executemany(
            "INSERT OR REPLACE INTO events (id, function, payload, entry, record, destination) "
            "VALUES (?, ?, x'', '', ?, ?)",
            [(each.id, each.function, each.record, each.destination) for each in parcels],
        )

    def remove(self, id: str) -> None:
        """Forget an event."""
        self._database.execute("DELETE FROM events WHERE id = ?", (id,))

    def message(self, id: str) -> Message | None:
        """What an event carries; None if it is forgotten."""
        row = self._database.execute(
            "SELECT payload, client_context, trace_id FROM events WHERE id = ?", (id,)
        ).fetchone()
        return None if row is None else Message(*row)

    def waiting(self) -> list[tuple[str, Entry]]:
        """The events that are not over, with their functions' names, the eldest first."""
        rows = self._database.execute(
            "SELECT function, entry FROM events WHERE record IS NULL ORDER BY rowid"
        )
        return [(function, Entry(**json.loads(entry))) for function, entry in rows]

    def parcels(self) -> list[Parcel]:
        """The records that were not delivered."""
        rows = self._database.execute(
            "SELECT id, function, record, destination FROM events WHERE record IS NOT NULL "
            "ORDER BY rowid"
        )
        return [Parcel(*row) for row in rows]
