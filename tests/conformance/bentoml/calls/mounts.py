"""What ``cases/mounts.py`` is asked."""

from differential import as_json, get

CALLS = [
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
