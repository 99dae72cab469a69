"""What ``cases/inside.py`` is asked."""

from differential import as_json

CALLS = [
    as_json("a method", "/inner", {}),
    as_json("its context in another thread", "/elsewhere", {}, **{"X-Given": "g"}),
    as_json("whether requests are logged", "/logged", {}),
    as_json("a method that calls another", "/outer", {}),
]
