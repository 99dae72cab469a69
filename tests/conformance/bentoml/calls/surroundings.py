"""What ``cases/surroundings.py`` is asked."""

from differential import as_json, get

CALLS = [
    *[get(f"GET {path}", path) for path in ("/v1/livez", "/v1/readyz", "/v1/healthz")],
    get("HEAD livez", "/v1/livez", "HEAD"),
    get("POST livez", "/v1/livez", "POST"),
    get("livez outside", "/livez"),
    get("schema", "/schema.json"),
    get("schema inside", "/v1/schema.json"),
    get("a method by GET", "/v1/hello"),
    get("a method by PUT", "/v1/hello", "PUT"),
    get("a method by OPTIONS", "/v1/hello", "OPTIONS"),
    as_json("a method", "/v1/hello", {"name": "Ann"}),
    as_json("a method outside", "/hello", {"name": "Ann"}),
    as_json("a slash too much", "/v1/hello/", {"name": "Ann"}),
    as_json("nothing", "/v1/nothing", {}),
    get("nothing by GET", "/nothing"),
]
