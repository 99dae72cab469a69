"""Answers a service that asks for models while a build imports it, and notes what it asked for."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bentofn.packager.modelsources.resolved import find
from bentofn.packager.modelsources.source import Report
from bentofn.packager.modelsources.wanted import require_model
from bentofn.packager.modelstore import describe_model, local_path
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.models import ASK


@dataclass
class Asked:
    """The models that a service asked for.

    Args:
        socket: The number of its end of the socket.
        models: As it asked, to the digest of the model that it got.
        tags: The exact tags of those that it got.
        has_listed: Whether it asked what models there are.
    """

    socket: int
    models: dict[str, str] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    has_listed: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """What tells the service where to ask."""
        return {ASK: str(self.socket)}


@contextmanager
def answering(store: Store | None, report: Report) -> Iterator[Asked]:
    """Answer for as long as a service is imported.

    Args:
        store: Where models are found; None gives every model, without files.
        report: Told what takes time.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        asked = Asked(theirs.fileno())
        thread = threading.Thread(target=_serve, args=(ours, asked, store, report), daemon=True)
        thread.start()
        try:
            yield asked
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(ours: socket.socket, asked: Asked, store: Store | None, report: Report) -> None:
    with ours.makefile("rwb") as file:
        for line in file:
            answer = _answer(json.loads(line), asked, store, report)
            file.write(json.dumps(answer, default=str).encode() + b"\n")
            file.flush()


def _answer(wanted: str | None, asked: Asked, store: Store | None, report: Report) -> object:
    """A model; or all that there are, none of them asked for yet."""
    if wanted is None:
        asked.has_listed = True
        return [] if store is None else [_told(store, entry) for entry in store.list("model")]
    if store is None:
        return _placeholder(wanted)
    try:
        entry = require_model(store, wanted, report)
        path = local_path(entry.tag, store.home)[2]
        answer = {**_told(store, entry), "path": str(path)}
    except UserError as error:
        return {"error": str(error)}
    asked.models[wanted] = entry.digest
    asked.tags.add(entry.tag)
    if asked.has_listed and find(store, entry.name) == entry:
        asked.models[entry.name] = entry.digest  # with a newer one, it would have found that
    return answer


def _told(store: Store, entry: Entry) -> dict[str, Any]:
    info = describe_model(store, entry)
    said = {"labels": info.labels, "metadata": info.metadata, "facts": info.facts}
    return {"name": entry.name, "version": entry.version, **said}


def _placeholder(wanted: str) -> dict[str, Any]:
    name, _, version = wanted.partition(":")
    return {"name": name, "version": version or "latest", "path": "/nowhere"}
