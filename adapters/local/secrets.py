"""Values of secrets on their way to the instances: they are kept in memory only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from bentofn.adapters.protocol import FunctionSpec


def with_values(spec: FunctionSpec, secrets: Mapping[str, str]) -> FunctionSpec:
    """A spec as instances are started by: with the values of its secrets among its variables.

    Args:
        spec: As it was applied.
        secrets: The values by variable; those of other specs are left out.
    """
    values = {name: value for name, value in secrets.items() if name in spec.settings.secrets}
    environment = {**spec.settings.environment, **values}
    settings = dataclasses.replace(spec.settings, environment=environment)
    return dataclasses.replace(spec, settings=settings)


def secrets_of(spec: FunctionSpec) -> dict[str, str]:
    """What an instance gets once it is one: a snapshot of what it began as must not hold them.

    Args:
        spec: With the values.
    """
    given = spec.settings.environment.items()
    return {name: value for name, value in given if name in spec.settings.secrets}
