"""What a deployment says of limits and events; what it leaves out stays as it was set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bentofn.adapters.event_rules import EventRules
from bentofn.adapters.local.lambda_.api import documents
from bentofn.adapters.local.lambda_.api.errors import LambdaError, too_little_left, validation
from bentofn.adapters.local.lambda_.api.names import LATEST, Name, arn
from bentofn.adapters.local.lambda_.api.registry import Registry
from bentofn.adapters.protocol import FunctionSpec
from bentofn.adapters.url import Cors
from bentofn.runtime.errors import UserError

_LONGEST_MAX_AGE = 86_400


def check(registry: Registry, spec: FunctionSpec) -> None:
    """Refuse what Lambda would refuse.

    Raises:
        UserError: It reserves more concurrency than is left, or its CORS rules are over a limit.
    """
    reserved = spec.settings.reserved_concurrency
    concurrency = registry.concurrency
    if reserved is not None and not concurrency.fits(spec.name, reserved):
        raise UserError(f"Function {spec.name!r}: {too_little_left(concurrency.least)}")
    url = spec.settings.url
    for wrong in _wrong(url.cors) if url is not None and url.cors is not None else ():
        raise UserError(f"Function {spec.name!r}: {wrong.message}")


async def configure(registry: Registry, spec: FunctionSpec) -> None:
    """Have it hold.

    Raises:
        LambdaError: It cannot be kept.
    """
    settings, name = spec.settings, Name(spec.name)
    if settings.reserved_concurrency is not None:
        await registry.set_reserved(spec.name, settings.reserved_concurrency)
    rules = settings.event_rules
    if rules is None or rules == EventRules(dead_letters=rules.dead_letters):
        return
    named: dict[str, Any] = {
        "MaximumRetryAttempts": rules.retries,
        "MaximumEventAgeInSeconds": rules.age,
    }
    document = {key: value for key, value in named.items() if value is not None}
    document["DestinationConfig"] = {
        "OnSuccess": _to(rules.on_success),
        "OnFailure": _to(rules.on_failure),
    }
    await registry.set_event_config(spec.name, LATEST, documents.event_config(name, document))


def _wrong(cors: Cors) -> Iterator[LambdaError]:
    """What of a URL's CORS rules breaks the API's model.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html
    """
    for name, values, most, longest in (
        ("allowOrigins", cors.origins, 100, 253),
        ("allowHeaders", cors.headers, 100, 1024),
        ("allowMethods", cors.methods, 6, 6),
        ("exposeHeaders", cors.exposed_headers, 100, 1024),
    ):
        shown = f"[{', '.join(values)}]"
        length = "Member must have length less than or equal to"
        if len(values) > most:
            yield validation(shown, f"cors.{name}", f"{length} {most}")
        if any(len(value) > longest for value in values):
            each = f"Member must satisfy constraint: [{length} {longest}]"
            yield validation(shown, f"cors.{name}", each)
    if cors.max_age > _LONGEST_MAX_AGE:
        constraint = f"Member must have value less than or equal to {_LONGEST_MAX_AGE}"
        yield validation(cors.max_age, "cors.maxAge", constraint)


def _to(destination: str | None) -> dict[str, str]:
    """A destination as the API has it, of an ARN or a function's name."""
    if destination is None:
        return {}
    return {"Destination": destination if ":" in destination else arn(destination)}
