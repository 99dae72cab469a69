"""Which published version is as a function is to be."""

from __future__ import annotations

from typing import Any

from bentofn.adapters.aws_lambda import configuration
from bentofn.adapters.aws_lambda.desired import Desired
from bentofn.adapters.aws_lambda.live import Live, LiveVersion
from bentofn.adapters.aws_lambda.step import Made


def usable(wanted: Desired, live: Live) -> LiveVersion | None:
    """The latest published version that is as the function is to be."""
    layers = layer_arns(wanted, live)
    if any(isinstance(each, Made) for each in layers):
        return None
    for version in reversed(live.versions):
        if version.state != "Failed" and _agrees(wanted, version, layers):
            return version
    return None


def layer_arns(wanted: Desired, live: Live) -> list[str | Made]:
    """The function's layers in order, those that are still to be published as :class:`Made`."""
    own = [
        live.layers.get(wanted.names.layer(part.name), {}).get(part.digest)
        or Made(f"layer {part.name}")
        for part in wanted.package.layers
    ]
    return [*own, *wanted.added_layers]


def full_configuration(wanted: Desired, live: Live) -> dict[str, Any]:
    """The configuration with layers."""
    if wanted.package.kind == "Image":
        return dict(wanted.configuration)
    return {**wanted.configuration, "Layers": layer_arns(wanted, live)}


def _agrees(wanted: Desired, version: LiveVersion, layers: list[str | Made]) -> bool:
    full = dict(wanted.configuration)
    if wanted.package.kind == "Zip":
        full["Layers"] = layers
    return (
        version.code == wanted.code_digest
        and version.architectures == (wanted.package.architecture,)
        and not configuration.differing(full, version.configuration)
    )
