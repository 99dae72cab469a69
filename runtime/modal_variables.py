"""The variables by which the adapter ``modal`` tells containers of the deployment."""

from __future__ import annotations

CORS = "BENTOFN_CORS"
"""BentoML's ``http.cors`` as JSON, where the deployment has CORS rules of its own."""

LINKS = "BENTOFN_MODELS"
"""JSON: ``name/version`` of each model to the directory that holds its files."""
