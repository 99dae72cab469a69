"""What ``serverless.yml`` says of a function's asynchronous invocations.

Source: https://www.serverless.com/framework/docs/providers/aws/guide/functions (Destinations,
Maximum Event Age and Maximum Retry Attempts).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bentofn.adapters.yamltree import Node

MOST_RETRIES = 2
SHORTEST_AGE, LONGEST_AGE = 60, 21_600


@dataclass(frozen=True)
class EventRules:
    """How often and how long an event is tried, and who hears of it; None for the target's own.

    Args:
        retries: Times that it is tried again after the function failed, 0 to 2.
        age: Seconds after which it is given up, 60 to 21,600.
        on_success: ARN, or the name of a function of the same file, that an answered event's record
            goes to.
        on_failure: As that, of an event that was given up.
    """

    retries: int | None = None
    age: int | None = None
    on_success: str | None = None
    on_failure: str | None = None


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
