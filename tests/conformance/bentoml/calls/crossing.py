"""What ``cases/crossing.py`` is asked."""

from collections.abc import Mapping

from differential import Call, as_json, get

_ALSO = (
    *("access-control-allow-credentials", "access-control-allow-headers", "vary"),
    *("access-control-allow-methods", "access-control-allow-origin"),
    *("access-control-expose-headers", "access-control-max-age"),
)


def _from(name: str, origin: str, method: str, **headers: str) -> Call:
    asked: Mapping[str, str] = {"Origin": origin, **headers}
    return Call(name, "/items/last", b"{}" if method == "POST" else b"", asked, method, _ALSO)


def _preflight(name: str, origin: str, method: str, headers: str) -> Call:
    asked = {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }
    return _from(name, origin, "OPTIONS", **asked)


CALLS = [
    _from("an origin", "http://one.example", "POST"),
    _from("an origin with a cookie", "http://two.example", "POST", Cookie="a=b"),
    _from("another origin", "http://other.example", "POST"),
    _from("OPTIONS without a question", "http://one.example", "OPTIONS"),
    _preflight("preflight", "http://one.example", "POST", "X-Token"),
    _preflight("preflight of another origin", "http://other.example", "POST", "X-Token"),
    _preflight("preflight of another method", "http://one.example", "DELETE", "X-Token"),
    _preflight("preflight of another header", "http://one.example", "POST", "X-Other"),
    as_json("an item", "/items/7", {"text": "x"}),
    as_json("an item with a space", "/items/a%20b", {}),
    as_json("an item with a slash", "/items/a%2Fb", {}),
    as_json("the last item", "/items/last", {}),
    as_json("no item", "/items/", {}),
    as_json("a part", "/items/7/parts/8", {}),
    as_json("no part", "/items/7/parts/", {}),
    as_json("a file", "/files/a/b.txt", {}),
    as_json("a number", "/numbers/12", {}),
    as_json("no number", "/numbers/twelve", {}),
    get("an item by GET", "/items/7"),
    get("schema", "/schema.json"),
]
