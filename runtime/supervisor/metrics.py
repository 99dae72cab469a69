"""``/metrics`` of a service that has several processes: what all of them count, added up."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bentofn.runtime.http.exchange import Receive, Scope, Send
from bentofn.runtime.http.metrics import CONTENT_TYPE
from bentofn.runtime.proxy.conversation import Conversation, Head

if TYPE_CHECKING:
    from prometheus_client import Metric

    from bentofn.runtime.service import Service

OWN = "x-bentofn-own-metrics"
"""Header of a request for what one process counts."""

_TIMEOUT = 2.0
"""Seconds that a worker may take to answer; one that takes longer is left out."""

_LATEST = "last_request_timestamp_seconds"


class MergedMetrics:
    """An application whose metrics are those of all workers.

    Args:
        app: The application of this process.
        service: Its service.
        everyone: The AF_UNIX sockets on which each worker answers for itself, each as its path,
            ``#``, and the prefix of the service's routes.
    """

    def __init__(self, app: Any, service: Service[Any], everyone: Sequence[str]) -> None:
        self._app = app
        self._path = f"{service.path_prefix}/metrics"
        enabled = service.config.get("metrics", {}).get("enabled", True)
        self._everyone = everyone if enabled else ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if self._everyone and scope["type"] == "http" and scope["path"] == self._path:
            own = any(name == OWN.encode() for name, _ in scope["headers"])
            if not own and scope["method"] == "GET":
                await self._answer(send)
                return
        await self._app(scope, receive, send)

    async def _answer(self, send: Send) -> None:
        texts = await asyncio.gather(*map(_ask, self._everyone))
        body = merge([text for text in texts if text]).encode()
        headers = [
            (b"content-type", CONTENT_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def merge(texts: Iterable[str]) -> str:
    """The metrics of several processes as those of one: numbers are added, of times the latest.

    Args:
        texts: Each in Prometheus' text format.
    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import Metric
    from prometheus_client.parser import text_string_to_metric_families

    families: dict[str, Metric] = {}
    values: dict[str, dict[Any, float]] = defaultdict(dict)
    for text in texts:
        for family in text_string_to_metric_families(text):
            families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            found = values[family.name]
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                if sample.name.endswith(_LATEST):
                    found[key] = max(found.get(key, 0.0), sample.value)
                else:
                    found[key] = found.get(key, 0.0) + sample.value
    for name, family in families.items():
        for (sample, labels), value in values[name].items():
            family.add_sample(sample, dict(labels), value)
    registry = CollectorRegistry()
    registry.register(_Fixed(list(families.values())))
    merged: bytes = generate_latest(registry)
    return merged.decode()


class _Fixed:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """The families; the registry calls this."""
        return self._families


async def _ask(place: str) -> str:
    """What one worker counts; nothing if it does not answer."""
    try:
        return await asyncio.wait_for(_get(place), _TIMEOUT)
    except (OSError, EOFError, asyncio.TimeoutError):
        return ""


async def _get(place: str) -> str:
    path, _, prefix = place.partition("#")
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        talk = Conversation()
        writer.writelines(talk.ask("GET", f"{prefix}/metrics", {OWN: "1"}, []))
        head, body = Head(0, ""), b""
        while True:
            for event in talk.events():
                if event is None:
                    return body.decode() if head.status == 200 else ""
                if isinstance(event, Head):
                    head = event
                else:
                    body += event
            talk.hear(await reader.read(1 << 18))
    finally:
        writer.close()
