"""What ``cases/contexts.py`` is asked."""

from differential import as_json

_HEADERS = {"X-Given": "g", "Cookie": "crumb=rye"}

CALLS = [
    as_json(
        "reads", "/reads?q=1&r=a%20b", {"name": "x"}, **{"X-Given": "g", "Cookie": "crumb=rye"}
    ),
    as_json("writes", "/writes", {"status": 201}),
    as_json("writes an error's status", "/writes", {"status": 401}),
    as_json("sets a cookie", "/sets_cookie", {}),
    as_json("media type", "/media_type", {}),
    as_json("awaits the body", "/body", {}),
    as_json("temporary folder", "/temporary", {}),
    as_json("remembers, first", "/remembers", {}),
    as_json("remembers, second", "/remembers", {}),
    as_json("afterwards", "/afterwards", {}),
]
