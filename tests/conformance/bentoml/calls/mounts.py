"""What ``cases/mounts.py`` is asked."""

import re

from differential import as_json, get
from flows import Flow, Server


def _endpoints(server: Server) -> list[str]:
    """What metrics call the endpoints of an item."""
    server(get("", "/items/7", "PUT"))
    text = str(server(get("", "/metrics")).body)
    return sorted(set(re.findall(r'endpoint="(/items[^"]*)"', text)))


CALLS = [
    Flow("endpoints in metrics", _endpoints),
    *[get(f"GET {path}", path) for path in ("/", "/hello", "/livez", "/docs.json", "/inner/x")],
    *[get(f"{method} an item", "/items/7", method) for method in ("GET", "PUT", "DELETE")],
    get("HEAD of a mounted path", "/hello", "HEAD"),
    get("no item", "/items/seven"),
    get("a slash too much", "/items/7/"),
    get("a stream", "/stream"),
    get("a failure", "/fail"),
    get("nothing", "/nothing"),
    get("schema", "/schema.json"),
    get("raw", "/raw/a/b"),
    get("raw by PATCH", "/raw/a", "PATCH"),
    get("raw without a slash", "/raw"),
    get("wsgi", "/wsgi/a?b=c"),
    get("refused by the outer", "/readyz?refuse=outer"),
    get("refused by the inner", "/raw/x?refuse=inner"),
    as_json("a method", "/hello", {"name": "Ann"}),
    as_json("a refused method", "/hello?refuse=inner", {"name": "Ann"}),
    as_json("a template", "/models/small/size", {}),
    as_json("no template", "/models/small/length", {}),
    get("a template by GET", "/models/small/size"),
    as_json("POST to a mounted path", "/items/7", {}),
]
