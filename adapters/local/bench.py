"""How long an engine takes from nothing to the first checked reply, beside a plain start."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bentofn.adapters.local.engines.base import Engine, InstanceSpec
from bentofn.adapters.local.upstream import Upstream
from bentofn.packager.slim.proof import equal
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest

_NEEDS_CREDENTIALS = (401, 403)
"""What middleware answers an example, which holds none; the warm-up passes it by."""

GRACE = 5.0
"""Seconds that an instance has to end after it answered."""


@dataclass(frozen=True)
class Question:
    """A request whose reply is waited for.

    Args:
        path: Path and query.
        body: Empty for a GET.
        content_type: The body's.
    """

    path: str
    body: bytes = b""
    content_type: str = "application/json"

    @classmethod
    def of(cls, manifest: BentoManifest) -> Question:
        """The first example that a service declares, of no task, else whether it lives."""
        for api in manifest.contract.apis:
            if api.examples and not api.is_task:
                path = f"{manifest.contract.path_prefix}{api.route}"
                return cls(path, *_sent(api.examples[0], api.input_schema))
        return cls("/livez")


def _sent(example: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[bytes, str]:
    """The body of an example and its content type, as ``Input.example_body`` has them."""
    if not schema.get("root_input"):
        return json.dumps(example).encode(), "application/json"
    value, kind = example["root"], schema.get("format", "")
    if isinstance(value, str) and schema.get("type") == "string" and kind in ("", "binary"):
        return value.encode(), "application/octet-stream" if kind else "text/plain"
    return json.dumps(value).encode(), "application/json"


@dataclass
class Arm:
    """What was measured of one engine.

    Args:
        seconds: From the start's beginning to the whole reply, one a round.
        replies: The replies.
    """

    seconds: list[float] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


async def compare(
    engines: Mapping[str, Engine],
    question: Question,
    rounds: int,
    threads: int,
    env: Mapping[str, str] | None = None,
) -> dict[str, Arm]:
    """Start an instance with each engine in turn, ask it, and end it, again and again.

    Args:
        engines: Prepared engines by name; the first one's replies are what is right.
        question: What is asked.
        rounds: How often.
        threads: Compute threads of an instance.
        env: Variables of the instances beside the engines' own.

    Raises:
        UserError: An instance does not start, or answers with an error, or something else than the
            first engine's do, although those all say the same.
    """
    arms = {name: Arm() for name in engines}
    for number in range(rounds):
        for name, engine in engines.items():
            spec = InstanceSpec(f"bench-{name}-{number}", env or {}, threads)
            took, reply = await _first_reply(engine, spec, question)
            arms[name].seconds.append(took)
            arms[name].replies.append(reply)
    _check(arms)
    return arms


async def _first_reply(
    engine: Engine, spec: InstanceSpec, question: Question
) -> tuple[float, bytes]:
    began = time.perf_counter()
    instance = await engine.start(spec)
    try:
        await instance.ready()
        upstream = Upstream(instance.socket_path)
        try:
            method = "POST" if question.body else "GET"
            headers = {"Content-Type": question.content_type} if question.body else {}
            response = await upstream.send(method, question.path, headers, question.body)
            reply = await response.read()
            took = time.perf_counter() - began
        finally:
            await upstream.close()
        if response.status >= 400 and response.status not in _NEEDS_CREDENTIALS:
            raise UserError(f"{spec.instance_id} answered with status {response.status}.")
        return took, reply
    finally:
        await instance.stop(GRACE)


def _check(arms: Mapping[str, Arm]) -> None:
    (first, right), *others = arms.items()
    truth = right.replies[0]
    if not _all_say(truth, right.replies):
        return  # it says something else each time; that it answers must do
    for name, arm in others:
        if not _all_say(truth, arm.replies):
            raise UserError(f"An instance of {name} answers something else than one of {first}.")


def _all_say(truth: bytes, replies: Sequence[bytes]) -> bool:
    return all(reply == truth or _equal(reply, truth) for reply in replies)


def _equal(first: bytes, second: bytes) -> bool:
    try:
        return equal(json.loads(first), json.loads(second))
    except ValueError:
        return False
