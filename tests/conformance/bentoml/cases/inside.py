"""Sync methods that call one another, with one thread."""

from __future__ import annotations

import logging
import threading

import bentoml
from pydantic import Field

RECORDS: list[str] = []


class _Keep(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        RECORDS.append(record.getMessage())


for _name in ("bentoml.access", "bentofn.access"):
    logging.getLogger(_name).setLevel(logging.INFO)
    logging.getLogger(_name).addHandler(_Keep())


@bentoml.service(traffic={"timeout": 1}, threads=1)
class Case:
    @bentoml.api
    def inner(self, n: int = Field(3)) -> int:
        return n + 1

    @bentoml.api
    def outer(self) -> int:
        return self.inner() + self.inner(1)

    @bentoml.api
    def logged(self) -> bool:
        """Whether there is a line for the requests before."""
        return bool(RECORDS)

    @bentoml.api
    def elsewhere(self, ctx: bentoml.Context) -> str:
        """What another thread sees of the request."""
        found: list[str] = []

        def look() -> None:
            try:
                found.append(ctx.request.headers["x-given"])
            except Exception as error:
                found.append(type(error).__name__)

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return found[0]
