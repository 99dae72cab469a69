"""The media types of what refers to a bento for trust's sake."""

from __future__ import annotations

SBOM = "application/vnd.cyclonedx+json"
IN_TOTO = "application/vnd.in-toto+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
