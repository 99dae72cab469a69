"""Where a bento comes from: an in-toto statement with SLSA's provenance.

https://slsa.dev/spec/v1.0/provenance, https://github.com/in-toto/attestation/blob/main/spec/v1
"""

from __future__ import annotations

from typing import Any

from bentofn import __version__
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.referrers import (
    Referrer,
    put_referrer,
    subject_descriptor,
)
from bentofn.packager.trust.bundle import Subject, statement
from bentofn.packager.trust.kinds import IN_TOTO
from bentofn.packager.trust.packages import locked_packages
from bentofn.runtime.manifest import BentoManifest

PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:bentofn:build:v1"
"""``externalParameters``: what the user's build file says. ``resolvedDependencies``: the project's
files (``bentofntree``: SHA-256 of every path, mode and content), the runtime that was packed, the
packages of the lock, the models, the base image."""
BUILDER = "urn:bentofn:builder:local"
"""Whoever ran ``bentofn build``; who that was, only a signature says."""

PREDICATE_ANNOTATION = "in-toto.io/predicate-type"


def attach_provenance(store: Store, entry: Entry) -> Referrer:
    """Make a bento's provenance, and store it as what refers to the bento.

    Raises:
        UserError: The store is damaged or cannot be written.
    """
    bento = store.bento(entry)
    data = statement([Subject(entry.tag, entry.digest)], PREDICATE, provenance(bento))
    blob = store.put_bytes(data, IN_TOTO)
    layer = Descriptor(IN_TOTO, blob.digest, blob.size, {PREDICATE_ANNOTATION: PREDICATE})
    annotations = {PREDICATE_ANNOTATION: PREDICATE}
    return put_referrer(store, subject_descriptor(entry), IN_TOTO, [layer], annotations)


def provenance(bento: BentoManifest) -> dict[str, Any]:
    """The predicate: of what a bento was made; no time, no host, no user, so that it is stable."""
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "service": bento.contract.import_string,
                "python": bento.python,
                "platform": bento.platform,
                "docker": {k: v for k, v in bento.docker.items() if k in _SHORT},
            },
            "internalParameters": {"slim": bento.inputs.get("slim", "")},
            "resolvedDependencies": _dependencies(bento),
        },
        "runDetails": {"builder": {"id": BUILDER, "version": {"bentofn": __version__}}},
    }


_SHORT = ("distro", "cuda_version", "base_image", "system_packages")


def _dependencies(bento: BentoManifest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, algorithm in (("code", "bentofntree"), ("runtime", "sha256"), ("lock", "sha256")):
        if name in bento.inputs:
            found.append({"name": name, "digest": {algorithm: bento.inputs[name]}})
    for package in locked_packages(bento.lock):
        described: dict[str, Any] = {"uri": package.purl}
        if package.url:
            described["downloadLocation"] = package.url
        if len(package.hashes) == 1:
            described["digest"] = {"sha256": package.hashes[0]}
        found.append(described)
    # Of an exported model, that which it was exported from.
    models = [
        (f"{model.name}:{model.version}", model.digest)
        if model.exported is None
        else (model.exported.tag, model.exported.digest)
        for model in bento.models
    ]
    for tag, digest in dict.fromkeys(models):
        sha256 = digest.removeprefix("sha256:")
        found.append({"name": f"model {tag}", "digest": {"sha256": sha256}})
    base = bento.docker.get("base_image")
    return [*found, {"name": "base image", "uri": f"docker://{base}"}] if base else found
