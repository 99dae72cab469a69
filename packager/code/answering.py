"""Answers a service that asks for models while a build imports it, and notes what it asked for."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bentofn.packager.modelsources.source import Report
from bentofn.packager.modelsources.wanted import require_model
from bentofn.packager.modelstore import describe_model, local_path
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.models import ASK


@dataclass
class Asked:
    """The models that a service asked for.

    Args:
        socket: The number of its end of the socket.
        models: As it asked, to the digest of the model that it got.
        tags: The exact tags of those that it got.
    """

    socket: int
    models: dict[str, str] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)

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
            wanted = json.loads(line)
            try:
                answer = (
                    _placeholder(wanted) if store is None else _find(wanted, asked, store, report)
                )
            except UserError as error:
                answer = {"error": str(error)}
            file.write(json.dumps(answer, default=str).encode() + b"\n")
            file.flush()


def _find(wanted: str, asked: Asked, store: Store, report: Report) -> dict[str, Any]:
    entry = require_model(store, wanted, report)
    info = describe_model(store, entry)
    name, version, path = local_path(entry.tag, store.home)
    asked.models[wanted] = entry.digest
    asked.tags.add(entry.tag)
    return {
        "name": name,
        "version": version,
        "path": str(path),
        "labels": info.labels,
        "metadata": info.metadata,
        "facts": info.facts,
    }


def _placeholder(wanted: str) -> dict[str, Any]:
    name, _, version = wanted.partition(":")
    return {"name": name, "version": version or "latest", "path": "/nowhere"}
