"""What a deployment says of limits and events; what it leaves out stays as it was set."""

from __future__ import annotations

from typing import Any

from bentofn.adapters.local.lambda_.api import documents
from bentofn.adapters.local.lambda_.api.management import TOO_LITTLE_LEFT
from bentofn.adapters.local.lambda_.api.names import LATEST, Name, arn
from bentofn.adapters.local.lambda_.api.registry import Registry
from bentofn.adapters.protocol import FunctionSpec
from bentofn.runtime.errors import UserError


def check(registry: Registry, spec: FunctionSpec) -> None:
    """Refuse what Lambda would refuse.

    Raises:
        UserError: It reserves more concurrency than is left.
    """
    reserved = spec.settings.reserved_concurrency
    if reserved is not None and not registry.concurrency.fits(spec.name, reserved):
        raise UserError(f"Function {spec.name!r}: {TOO_LITTLE_LEFT}")


async def configure(registry: Registry, spec: FunctionSpec) -> None:
    """Have it hold.

    Raises:
        LambdaError: It cannot be kept.
    """
    settings, name = spec.settings, Name(spec.name)
    if settings.reserved_concurrency is not None:
        await registry.set_reserved(spec.name, settings.reserved_concurrency)
    rules = settings.event_rules
    if rules is None:
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


def _to(destination: str | None) -> dict[str, str]:
    """A destination as the API has it, of an ARN or a function's name."""
    if destination is None:
        return {}
    return {"Destination": destination if ":" in destination else arn(destination)}
