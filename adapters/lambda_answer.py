"""What a direct invocation on Lambda answered, as the service's own answers over HTTP have it."""

from __future__ import annotations

import json

JSON = "application/json"


def as_answered(content: bytes) -> tuple[str, bytes]:
    """A function's payload; Lambda's is always JSON, and a text over HTTP is itself.

    Args:
        content: What the function returned, as JSON.

    Returns:
        Its content type, and the body.
    """
    if content[:1] != b'"':
        return JSON, content
    try:
        text = json.loads(content)
    except ValueError:
        return JSON, content
    return "text/plain; charset=utf-8", str(text).encode("utf-8", "surrogatepass")
