"""A bento's manifest, from what a build reads and what it found out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bentofn.packager.build_inputs import BuildInputs
from bentofn.packager.environment.layers import Environment
from bentofn.packager.environment.names import requirement_name
from bentofn.packager.environment.resolve import Lock
from bentofn.packager.store import Descriptor, check_part
from bentofn.runtime.manifest import (
    BentoManifest,
    ModelReference,
    ServiceContract,
    canonical_json,
)

VERSION_DIGITS = 12


def make_manifest(
    inputs: BuildInputs,
    lock: Lock,
    environment: Environment,
    contract: ServiceContract,
    references: Sequence[ModelReference],
    layers: Iterable[Descriptor],
) -> BentoManifest:
    """Make the manifest of a bento.

    Args:
        inputs: What the build read.
        lock: Its packages.
        environment: The same, as layers.
        contract: What its service promises.
        references: Its models.
        layers: All of its layers, in order, which its version follows from if none was given.

    Raises:
        UserError: Its name or version breaks a rule.
    """
    contract = replace(
        contract,
        models=tuple(dict.fromkeys(f"{m.name}:{m.version}" for m in references)),
    )
    name = inputs.options.name or inputs.config.name or _snake_case(contract.name)
    valued = {key: value for key, value in contract.envs.items() if value is not None}
    envs = {**valued, **inputs.envs}
    declared = {*contract.envs, *(env.name for env in inputs.config.envs)}
    manifest = BentoManifest(
        name=check_part(name),
        version="",
        contract=contract,
        python=inputs.target.python,
        platform=inputs.target.platform,
        models=tuple(references),
        lock=lock.lines,
        requires=tuple(sorted({requirement_name(line) for line in inputs.requirements.packages})),
        envs=envs,
        secrets=tuple(sorted(declared - envs.keys())),
        labels={**contract.labels, **inputs.config.labels, **inputs.options.labels},
        description=inputs.description,
        docker=inputs.image.to_plain(),
        inputs={
            "code": inputs.tree.digest,
            "lock": lock.digest,
            "runtime": inputs.runtime_digest,
            "slim": inputs.slimming.identity,
        },
        slimmed=environment.slimmed,
    )
    version = inputs.options.version or _version(manifest, layers)
    return replace(manifest, version=check_part(version, "version"))


def _version(manifest: BentoManifest, layers: Iterable[Descriptor]) -> str:
    content = [manifest.to_json().decode(), [layer.digest for layer in layers]]
    return hashlib.sha256(canonical_json(content)).hexdigest()[:VERSION_DIGITS]


def _snake_case(name: str) -> str:
    # BentoML names a bento after its service in snake case.
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[\s-]+", "_", words).lower()
