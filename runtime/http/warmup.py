"""Warming up: every declared example goes through the application before the snapshot point.

And once more in the first process that is restored from a snapshot (:func:`send_examples`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bentofn.runtime.context import EXAMPLE
from bentofn.runtime.errors import UserError
from bentofn.runtime.http import graphs
from bentofn.runtime.http.app import ServiceApp
from bentofn.runtime.http.exchange import Message, Scope
from bentofn.runtime.io.spec import EndpointSpec
from bentofn.runtime.own_loop import run_to_end
from bentofn.runtime.stages import stage


@dataclass(frozen=True)
class Answer:
    """What a declared example is answered with.

    Args:
        path: The path that it was sent to.
        example: It.
        status: The HTTP status.
        body: The whole body.
    """

    path: str
    example: Mapping[str, Any]
    status: int
    body: bytes


def warm_up(app: ServiceApp) -> list[str]:
    """Send every declared example through an application that is not serving yet.

    Where CUDA graphs are recorded they are sent twice, for torch records a function when a thread
    calls it again (``CUDAGraphTreeManager._run`` of 2.13), and the threads stay that have them.
    Elsewhere no thread is left afterwards, and never a loop or a count of it. The ``on_startup``
    and ``on_shutdown`` methods are not run: the instance that is started later runs them.

    Returns:
        The routes that were warmed.

    Raises:
        UserError: An example is answered with a status of 400 or more.
    """
    answer_examples(app)
    if graphs.are_recorded():
        answer_examples(app)
    return [spec.method.route for spec in app.specs if spec.method.examples]


def answer_examples(app: ServiceApp) -> list[Answer]:
    """What every declared example is answered with; leaves and raises what :func:`warm_up` does."""
    return run_to_end(_answer_examples(app))


async def send_examples(app: ServiceApp) -> list[Answer]:
    """What an application that was started answers its examples with; raises as :func:`warm_up`."""
    return [
        await _send(app, spec, example) for spec in app.specs for example in spec.method.examples
    ]


async def _answer_examples(app: ServiceApp) -> list[Answer]:
    await app.start(hooks=False)
    try:
        return await send_examples(app)
    finally:
        await app.stop(hooks=False)


async def _send(app: ServiceApp, spec: EndpointSpec, example: Mapping[str, Any]) -> Answer:
    body, content_type = spec.input.example_body(example)
    path = app.service.path_prefix + spec.method.route
    with stage("example", path=path):
        status, answer = await _post(app, path, body, content_type)
    if status >= 400:
        raise UserError(
            f"The example {dict(example)!r} of {spec.method.location} ({path}) is answered with "
            f"{status}: {answer.decode(errors='replace')[:500]}; correct the example or the method."
        )
    return Answer(path, example, status, answer)


async def _post(app: ServiceApp, path: str, body: bytes, content_type: str) -> tuple[int, bytes]:
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "extensions": {EXAMPLE: {}},
        "headers": [
            (b"host", b"warm-up"),
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 80),
    }
    requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    answered = asyncio.Event()
    messages: list[Message] = []

    async def receive() -> Message:
        if requests:
            return requests.pop()
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)

    # The user's middleware may ask for credentials that an example does not have.
    await app.answer(scope, receive, send)
    answered.set()
    status: int = messages[0]["status"]
    return status, b"".join(message.get("body", b"") for message in messages[1:])
