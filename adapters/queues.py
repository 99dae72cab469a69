"""The queues whose messages call a function, as ``serverless.yml`` says them.

Source: https://www.serverless.com/framework/docs/providers/aws/events/sqs and
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bentofn.adapters.yamltree import Node

USUAL_BATCH = 10
LARGEST_BATCH = 10_000
LONGEST_WINDOW = 300
LEAST_CONCURRENCY, MOST_CONCURRENCY = 2, 1000
ONLY_FAILED = "ReportBatchItemFailures"

_ARN = re.compile(r"arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d+:[A-Za-z0-9_-]{1,80}(\.fifo)?\Z")
# fmt: off
_KEYS = [
    "arn", "batchSize", "maximumBatchingWindow", "functionResponseType", "enabled",
    "filterPatterns", "maximumConcurrency",
]
# fmt: on


@dataclass(frozen=True)
class Queue:
    """A queue of SQS's.

    Args:
        arn: Its ARN.
        batch_size: Messages of one call at most.
        window: Seconds for which messages are gathered.
        enabled: Whether its messages are taken.
        concurrency: Calls at a time at most; None for no limit of its own.
        patterns: JSON of the patterns of which a message must match one; none for all messages.
    """

    arn: str
    batch_size: int = USUAL_BATCH
    window: int = 0
    enabled: bool = True
    concurrency: int | None = None
    patterns: tuple[str, ...] = ()

    @property
    def region(self) -> str:
        """Where it is."""
        return self.arn.split(":")[3]

    @property
    def is_fifo(self) -> bool:
        """Whether its messages come in order."""
        return self.arn.endswith(".fifo")

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Queue:
        """Read the ``dataclasses.asdict`` form."""
        return cls(**{**raw, "patterns": tuple(raw.get("patterns", ()))})


def read_queues(events: Node) -> tuple[Queue, ...]:
    """The queues among a function's events.

    Args:
        events: The function's ``events``.

    Raises:
        UserError: One is wrong; says the file, the key path and why.
    """
    found: dict[str, Queue] = {}
    for event in events.items():
        node = event["sqs"] if event.is_mapping else event.absent()
        if node.value is None:
            continue
        queue = _queue(node)
        if queue.arn in found:
            raise node.error("this queue is named twice; keep one of them")
        found[queue.arn] = queue
    return tuple(found.values())


def sqs_events(events: tuple[Any, ...]) -> list[Any]:
    """What of events as they are written is of queues."""
    return [each["sqs"] for each in events if isinstance(each, Mapping) and "sqs" in each]


def _queue(node: Node) -> Queue:
    if not node.is_mapping:
        return Queue(_arn(node))
    node.only(_KEYS)
    node["functionResponseType"].optional_choice(ONLY_FAILED)
    arn = _arn(node["arn"])
    queue = Queue(
        arn,
        _within(node["batchSize"], 1, LARGEST_BATCH) or USUAL_BATCH,
        _within(node["maximumBatchingWindow"], 0, LONGEST_WINDOW) or 0,
        node["enabled"].boolean(default=True),
        _within(node["maximumConcurrency"], LEAST_CONCURRENCY, MOST_CONCURRENCY),
        tuple(
            each.without_cloud_formation(json.dumps(each.plain(), sort_keys=True))
            for each in node["filterPatterns"].items()
        ),
    )
    if queue.is_fifo and queue.window:
        raise node["maximumBatchingWindow"].error("a FIFO queue has none; leave it out")
    if queue.is_fifo and queue.batch_size > USUAL_BATCH:
        raise node["batchSize"].error(f"of a FIFO queue it must be {USUAL_BATCH} at most")
    if queue.batch_size > USUAL_BATCH and not queue.window:
        raise node["batchSize"].error(
            f"over {USUAL_BATCH} it takes a maximumBatchingWindow of 1 second at least"
        )
    return queue


def _arn(node: Node) -> str:
    if node.is_mapping or not _ARN.match(node.text()):
        raise node.error(
            "it must be the ARN of an SQS queue, as arn:aws:sqs:REGION:ACCOUNT:NAME; bentofn makes "
            "no CloudFormation stack that could tell it"
        )
    return node.text()


def _within(node: Node, least: int, most: int) -> int | None:
    number = node.optional_integer(least=least)
    if number is not None and number > most:
        raise node.error(f"it must be {most} at most")
    return number
