"""The media types of what refers to a bento for trust's sake, and the rules of what it may hold."""

from __future__ import annotations

SBOM = "application/vnd.cyclonedx+json"
IN_TOTO = "application/vnd.in-toto+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"

ADMISSION_RULES = 1
"""Raised when the same file would be judged otherwise; what was built before is then built anew."""
