"""What the tour does as a caller: asks the embeddings function over HTTP and checks the answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from urllib.parse import urlsplit

from bentofn.adapters.protocol import Adapter
from bentofn.runtime.errors import UserError

TEXTS = ("A man is eating food.", "Someone is having a meal.", "The stock market fell today.")
"""The first two mean nearly the same, the third something else."""

TOLERANCE = 1e-4
ZERO_TIMEOUT = 60.0  # seconds

Vectors = list[list[float]]


@dataclass(frozen=True)
class Tour:
    """What the tour saw.

    Args:
        cold_ms: Milliseconds from a request to a function at zero to its answer, plain start.
        restored_ms: The same with an instance restored from a snapshot.
        warm_ms: Milliseconds of a request to a running instance, median.
        largest_batch: Texts that one batch held at most.
        layers: Layer to bytes of the artifact.
        url_status: HTTP status of the function's URL at the end.
    """

    cold_ms: float
    restored_ms: float
    warm_ms: float
    largest_batch: int
    layers: Mapping[str, int]
    url_status: int


class Embedder:
    """A caller of the embeddings function.

    Args:
        url: The function's URL.
    """

    def __init__(self, url: str) -> None:
        self.url = urlsplit(url.rstrip("/"))
        self.last_status = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts: one vector each.

        Raises:
            UserError: The function answered with an error.
        """
        return self._post(texts)[0]

    def ask(self, start: str | None = None) -> tuple[float, Vectors]:
        """Embed :data:`TEXTS` and check the meaning.

        Args:
            start: What kind of start the answer must come from, or None for any.

        Returns:
            Milliseconds from connecting to the whole answer, and one vector a text.

        Raises:
            UserError: The answer is wrong, or came from another kind of start.
        """
        began = time.perf_counter()
        vectors, headers = self._post(TEXTS)
        elapsed = (time.perf_counter() - began) * 1000
        if start is not None and headers["X-Bentofn-Start"] != start:
            raise UserError(
                f"The request was answered from a {headers['X-Bentofn-Start']} instance, "
                f"not from a {start} one; see bentofn logs."
            )
        near, far = _dot(vectors[0], vectors[1]), _dot(vectors[0], vectors[2])
        if near <= far:
            raise UserError(
                f"Wrong answer: similarity {near:.3f} of like texts, {far:.3f} of unlike."
            )
        return elapsed, vectors

    def ask_checked(self, truth: Vectors, start: str | None = None) -> float:
        """Ask, and compare with an earlier answer; milliseconds.

        Raises:
            UserError: The answers differ by more than :data:`TOLERANCE`.
        """
        elapsed, vectors = self.ask(start)
        worst = max(
            abs(a - b)
            for row, true in zip(vectors, truth, strict=True)
            for a, b in zip(row, true, strict=True)
        )
        if worst > TOLERANCE:
            raise UserError(f"Two instances answered differently, by {worst:.2g}.")
        return elapsed

    def _post(self, texts: Sequence[str]) -> tuple[Vectors, Message]:
        body = json.dumps({"texts": texts})
        connection = http.client.HTTPConnection(str(self.url.hostname), self.url.port, timeout=120)
        with contextlib.closing(connection):
            connection.request(
                "POST", f"{self.url.path}/embed", body, {"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            payload = response.read()
        self.last_status = response.status
        if response.status != 200:
            raise UserError(f"The function answered {response.status}: {payload[:200].decode()}")
        return json.loads(payload), response.headers

    def ask_at_once(self, truth: Vectors, count: int) -> None:
        """Ask ``count`` times at once; every answer is checked."""
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda _: self.ask_checked(truth), range(count)))


def wait_for_zero(adapter: Adapter, function: str) -> None:
    """Wait until a function has no instance.

    Raises:
        UserError: It has one still after :data:`ZERO_TIMEOUT`.
    """
    deadline = time.monotonic() + ZERO_TIMEOUT
    while adapter.status(function)[0].state != "zero":
        if time.monotonic() > deadline:
            raise UserError(f"{function} is not at zero after {ZERO_TIMEOUT:.0f} s; see its logs.")
        time.sleep(0.05)


def largest_batch(adapter: Adapter, function: str) -> int:
    """The most items that one batch of a function held."""
    return adapter.status(function)[0].largest_batch


def _dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
