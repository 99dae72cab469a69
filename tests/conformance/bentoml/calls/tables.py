"""What ``cases/tables.py`` is asked."""

from differential import as_json

CALLS = [
    as_json("a table", "/table", {"table": [{"a": 1}, {"a": 2}]}),
    as_json("a batch", "/batch", {"table": [{"a": 1}, {"a": 2}]}),
]
