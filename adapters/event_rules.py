"""What ``serverless.yml`` says of a function's asynchronous invocations.

Source: https://www.serverless.com/framework/docs/providers/aws/guide/functions (Destinations,
Maximum Event Age, Maximum Retry Attempts and Dead Letter Queue).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from bentofn.adapters.yamltree import Node

MOST_RETRIES = 2
SHORTEST_AGE, LONGEST_AGE = 60, 21_600

_LETTERS = re.compile(r"arn:aws[a-zA-Z-]*:(sns|sqs):[a-z0-9-]*:\w*:[^\s:]{1,200}")
_OWN_RESOURCE = "arn:aws:{}:us-east-1:000000000000:{}"
"""A topic or queue that the file itself makes, which has no ARN here."""


@dataclass(frozen=True)
class EventRules:
    """How often and how long an event is tried, and who hears of it; None for the target's own.

    Args:
        retries: Times that it is tried again after the function failed, 0 to 2.
        age: Seconds after which it is given up, 60 to 21,600.
        on_success: ARN, or the name of a function of the same file, that an answered event's record
            goes to.
        on_failure: As that, of an event that was given up.
        dead_letters: ARN of the topic or queue that gets the events which were given up.
    """

    retries: int | None = None
    age: int | None = None
    on_success: str | None = None
    on_failure: str | None = None
    dead_letters: str | None = None


def read_event_rules(node: Node, functions: Collection[str]) -> EventRules | None:
    """Read them from a function's section; None where it says nothing.

    Args:
        node: The section.
        functions: The functions of the file.

    Raises:
        UserError: A value is wrong.
    """
    destinations = node["destinations"]
    destinations.only(["onSuccess", "onFailure"])
    rules = EventRules(
        _within(node["maximumRetryAttempts"], 0, MOST_RETRIES),
        _within(node["maximumEventAge"], SHORTEST_AGE, LONGEST_AGE),
        _destination(destinations["onSuccess"], functions),
        _destination(destinations["onFailure"], functions),
        _dead_letters(node["onError"]),
    )
    return None if rules == EventRules() else rules


def _within(node: Node, least: int, most: int) -> int | None:
    number = node.optional_integer(least=least)
    if number is not None and number > most:
        raise node.error(f"it must be {most} at most")
    return number


def _destination(node: Node, functions: Collection[str]) -> str | None:
    if node.is_mapping:
        node.only(["type", "arn"])
        node = node["arn"]
    name = node.text(default="") or None
    if name is not None and name not in functions and not name.startswith("arn:"):
        raise node.error("it must be a function of this file, or an ARN")
    return name


def _dead_letters(node: Node) -> str | None:
    """Of ``onError``; what only CloudFormation could tell is nothing here."""
    if node.is_mapping:
        (kind, value), *_ = (node.value or {"": None}).items()
        name = value[0] if isinstance(value, list) and value else value
        if isinstance(name, str) and kind.removeprefix("Fn::") in ("Ref", "GetAtt"):
            service = "sns" if kind == "Ref" else "sqs"  # a Ref to a queue is no ARN
            return _OWN_RESOURCE.format(service, name.partition(".")[0])
        return None
    arn = node.text(default="") or None
    if arn is not None and not _LETTERS.fullmatch(arn):
        raise node.error("it must be the ARN of an SNS topic or of an SQS queue")
    return arn
