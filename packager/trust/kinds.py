"""The media types of what refers to a bento for trust's sake, and the rules of what it may hold."""

from __future__ import annotations

SBOM = "application/vnd.cyclonedx+json"
IN_TOTO = "application/vnd.in-toto+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"

ADMISSION_RULES = 2
"""Raised when the same file would be judged otherwise; what was built before is then built anew."""

_NAMES = {
    SBOM: "the SBOM",
    IN_TOTO: "the provenance",
    BUNDLE: "the signature",
    "application/vnd.bentofn.prefetch.v1": "the prefetch list",
    "application/vnd.bentofn.snapshot.v1": "the snapshot",
    "application/vnd.bentofn.compiled.v1": "what was compiled",
}


def name_of(artifact_type: str) -> str:
    """What users call an artifact that refers to a bento."""
    return _NAMES.get(artifact_type, artifact_type)
