"""How long starts of several kinds take from nothing to the first checked reply."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentofn.adapters.local.engines.base import Instance
from bentofn.adapters.local.timeline.timeline import Telling, Timeline
from bentofn.adapters.local.upstream import Upstream
from bentofn.packager.slim.proof import equal
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest
from bentofn.runtime.stages import stage

_NEEDS_CREDENTIALS = (401, 403)
"""What middleware answers an example, which holds none; the warm-up passes it by."""

GRACE = 5.0
"""Seconds that an instance has to end after it answered."""


async def stop(instance: Instance) -> None:
    """End an instance that has answered."""
    await instance.stop(GRACE)


@dataclass(frozen=True)
class Starter:
    """How one kind of start is done, and undone.

    Args:
        start: Starts an instance of this name, with these variables among its own, that serves.
        end: Ends one, so that the next can start.
    """

    start: Callable[[str, Mapping[str, str]], Awaitable[Instance]]
    end: Callable[[Instance], Awaitable[None]] = stop


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
    """What was measured of one kind of start.

    Args:
        timelines: From the start's beginning to the whole reply, one a round.
        replies: The replies.
    """

    timelines: list[Timeline] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        """What each round took."""
        return [(each.ended - each.began) / 1e9 for each in self.timelines]

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


async def compare(
    starters: Mapping[str, Starter], question: Question, rounds: int, folder: Path
) -> dict[str, Arm]:
    """Start an instance of each kind in turn, ask it, and end it, again and again.

    Args:
        starters: Start them, by kind; the first one's replies are what is right.
        question: What is asked.
        rounds: How often.
        folder: Where the instances tell of their stages; a private one.

    Raises:
        UserError: An instance does not start, or answers with an error, or something else than the
            first kind's do, although those all say the same.
    """
    arms = {name: Arm() for name in starters}
    for number in range(rounds):
        for name, starter in starters.items():
            telling = Telling(name, folder / f"{name}-{number}.stages")
            timeline, reply = await first_reply(
                starter, f"bench-{name}-{number}", question, telling
            )
            arms[name].timelines.append(timeline)
            arms[name].replies.append(reply)
    _check(arms)
    return arms


async def first_reply(
    starter: Starter, name: str, question: Question, telling: Telling
) -> tuple[Timeline, bytes]:
    """Start an instance, ask it, and end it.

    Args:
        starter: Starts it.
        name: Its name.
        question: What is asked.
        telling: Takes down the stages.

    Raises:
        UserError: It does not start, or answers with an error.
    """
    with telling.listening():
        instance = await starter.start(name, telling.variables)
        try:
            upstream = Upstream(instance.socket_path)
            try:
                method = "POST" if question.body else "GET"
                headers = {"Content-Type": question.content_type} if question.body else {}
                with stage("request", path=question.path):
                    response = await upstream.send(method, question.path, headers, question.body)
                    reply = await response.read()
                ended = time.time_ns()
            finally:
                await upstream.close()
            if response.status >= 400 and response.status not in _NEEDS_CREDENTIALS:
                said = reply[:500].decode(errors="replace")
                raise UserError(f"{name} answers {question.path} with {response.status}: {said}")
        finally:
            await starter.end(instance)
    return telling.timeline(ended), reply


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
