"""A function URL's CORS rules as those of a service, which answers other origins on Modal itself.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html (the fields)
"""

from __future__ import annotations

from bentofn.adapters.url import Cors
from bentofn.runtime.manifest import canonical_json


def cors_variable(cors: Cors) -> str:
    """What the runtime reads of them: BentoML's ``http.cors``, as JSON."""
    rules = {
        "enabled": True,
        "access_control_allow_origins": list(cors.origins),
        "access_control_allow_headers": list(cors.headers),
        "access_control_allow_methods": list(cors.methods),
        "access_control_allow_credentials": cors.credentials,
        "access_control_expose_headers": list(cors.exposed_headers),
        "access_control_max_age": cors.max_age,
    }
    return canonical_json(rules).decode()
