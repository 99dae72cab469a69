"""What ``cases/declared.py`` is asked."""

from differential import as_json

CALLS = [
    as_json("inherited", "/inherited", {}),
    as_json("hooks run by name", "/hooks", {}),
    as_json("another route", "/elsewhere", {}),
    as_json("another route, given", "/elsewhere", {"a": 1, "b": "y"}),
    as_json("another route, refused", "/elsewhere", {"a": -1}),
    as_json("the method's own name", "/named", {}),
    as_json("decorated", "/decorated", {}),
    as_json("decorated, refused", "/decorated", {"text": "x"}, **{"X-Token": "wrong"}),
    as_json("arguments", "/arguments", {}),
    as_json("current", "/current", {}),
    as_json("names", "/names", {}),
    as_json("awaited", "/awaited", {}),
    as_json("streamed", "/streamed", {}, **{"X-Token": "t"}),
    as_json("own exception", "/fails", {"how": "own"}),
    as_json("exception with a code", "/fails", {"how": "code"}),
    as_json("not found", "/fails", {"how": "x"}),
    as_json("state, first", "/state", {}),
    as_json("state, second", "/state", {}),
]
