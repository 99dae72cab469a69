"""What ``cases/prefixed_commands.py`` is asked."""

from differential import get

CALLS = [
    get("a path", "/v1/some"),
    get("a path outside", "/some"),
    get("ready", "/v1/readyz"),
    get("where its health is asked", "/v1/asked"),
]
