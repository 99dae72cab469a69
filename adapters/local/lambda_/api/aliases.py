"""Aliases: names for a version, or for two of them with weights.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bentofn.adapters.local.lambda_.api.errors import LambdaError, invalid, section, validation
from bentofn.adapters.local.lambda_.api.names import LATEST, arn

_PATTERN = r"(?!^[0-9]+$)([a-zA-Z0-9-_]+)"
_NAME = re.compile(_PATTERN)
_NUMBER = re.compile(r"[0-9]{1,1024}")
_WEIGHTS = "routingConfig.additionalVersionWeights"
_WEIGHT = (
    "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, "
    "Member must have value greater than or equal to 0.0, Member must not be null]"
)
_VERSION = (
    "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member "
    "must have length greater than or equal to 1, Member must satisfy regular expression pattern: "
    "[0-9]+]"
)


@dataclass(frozen=True)
class Alias:
    """A name for one or two versions.

    Args:
        name: The name.
        version: ``$LATEST`` or a number.
        description: What its owner says of it.
        weights: A second version's number to the share of the invocations that it gets, 0 to 1.
        revision: Changes whenever it does.
    """

    name: str
    version: str
    description: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    revision: str = field(default_factory=lambda: str(uuid.uuid4()))

    def choose(self, chance: random.Random) -> str:
        """The version that an invocation gets."""
        drawn = chance.random()
        for version, weight in self.weights.items():
            if drawn < weight:
                return version
            drawn -= weight
        return self.version

    @property
    def versions(self) -> tuple[str, ...]:
        """All that it may choose."""
        return (self.version, *self.weights)

    def to_json(self, function: str) -> dict[str, Any]:
        """As the API describes it."""
        document: dict[str, Any] = {
            "AliasArn": arn(function, self.name),
            "Name": self.name,
            "FunctionVersion": self.version,
            "Description": self.description,
            "RevisionId": self.revision,
        }
        if self.weights:
            document["RoutingConfig"] = {"AdditionalVersionWeights": dict(self.weights)}
        return document


def alias_of(name: str, asked: Mapping[str, Any], former: Alias | None = None) -> Alias:
    """An alias as a call asks for it.

    Args:
        name: Its name.
        asked: The call's ``FunctionVersion``, ``Description`` and ``RoutingConfig``.
        former: What it was; what the call leaves out stays.

    Raises:
        LambdaError: The call's values do not do.
    """
    if not _NAME.fullmatch(name):
        raise validation(
            name, "name", f"Member must satisfy regular expression pattern: {_PATTERN}"
        )
    version = asked.get("FunctionVersion") or (former.version if former else None)
    if version is None:
        raise validation("null", "functionVersion", "Member must not be null")
    routing = section(asked, "RoutingConfig")
    if asked.get("RoutingConfig") is None:
        weights = dict(former.weights) if former else {}
    else:
        weights = _checked(section(routing, "AdditionalVersionWeights"), str(version))
    description = asked.get("Description")
    if description is None:
        description = former.description if former else ""
    return Alias(name, str(version), str(description), weights)


def expect_revision(former: Alias, expected: object) -> None:
    """Refuse a change of an alias that somebody else changed meanwhile.

    Raises:
        LambdaError: It is another revision than the caller expects.
    """
    if expected is not None and expected != former.revision:
        raise LambdaError(
            412,
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the "
            "GetFunction/GetAlias API to retrieve the latest Revision Id",
        )


def _checked(weights: Mapping[str, Any], version: str) -> dict[str, float]:
    if len(weights) > 1:
        raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
    for other, weight in weights.items():
        written = f"{{{other}={weight}}}"
        if not _NUMBER.fullmatch(other):
            raise validation(written, _WEIGHTS, _VERSION)
        if not isinstance(weight, int | float) or not 0.0 <= weight <= 1.0:
            raise validation(written, _WEIGHTS, _WEIGHT)
        if version == LATEST:
            raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
        if other == version:
            raise invalid(
                f"Invalid function version {other}. Function version {other} is already included "
                "in routing configuration."
            )
    return {other: float(weight) for other, weight in weights.items()}
