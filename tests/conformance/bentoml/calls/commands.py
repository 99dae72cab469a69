"""What ``cases/commands.py`` is asked."""

from differential import as_json, get, raw
from flows import Flow, Server


def _ready_without_its_server(server: Server) -> int:
    """Whether the service is ready once its server has ended."""
    server(get("", "/end"))
    return server.until(get("", "/readyz"), lambda seen: seen.status != 200, 3).status


CALLS = [
    get("a path", "/some/path?a=b"),
    as_json("a body", "/predict", {"a": [1]}, **{"X-Given": "g"}),
    raw("bytes", "/predict", b"raw", "application/octet-stream"),
    *[get(f"{method} a path", "/some", method) for method in ("PUT", "PATCH", "DELETE", "HEAD")],
    get("a status of its own", "/teapot"),
    *[get(path, path) for path in ("/livez", "/healthz", "/schema.json", "/asked")],
    get("ready", "/readyz"),
    Flow("ready once its server has ended", _ready_without_its_server),
]
