"""What ``cases/arrays.py`` is asked."""

import io

import numpy as np
from differential import as_json, raw

_FILE = io.BytesIO()
np.save(_FILE, np.arange(3))
_NPY = _FILE.getvalue()

_ROWS = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]

CALLS = [
    as_json("twice", "/twice", {"array": [[1, 2], [3, 4]]}),
    as_json("twice, fractions", "/twice", {"array": [0.5, 1.25]}),
    as_json("twice, a number", "/twice", {"array": 3}),
    as_json("twice, empty", "/twice", {"array": []}),
    as_json("twice, ragged", "/twice", {"array": [[1], [2, 3]]}),
    as_json("twice, an object", "/twice", {"array": {"a": 1}}),
    as_json("twice, missing", "/twice", {}),
    as_json("kind of numbers", "/kind", {"array": [1, 2]}),
    as_json("kind of texts", "/kind", {"array": ["a", "b"]}),
    as_json("kind of flags", "/kind", {"array": [True, False]}),
    as_json("kind with a gap", "/kind", {"array": [1, None]}),
    as_json("kind of what is mixed", "/kind", {"array": [1, "a"]}),
    as_json("kind of large numbers", "/kind", {"array": [2**70]}),
    as_json("labels", "/labels", {}),
    as_json("a dict in place of an array", "/told", {}),
    as_json("texts", "/texts", {}),
    as_json("listed", "/listed", {"arrays": [[1], [2, 3]]}),
    raw("npy", "/kind", _NPY, "application/x-npy"),
    raw("an answer as npy", "/texts", b"{}", "application/json", Accept="application/x-npy"),
    as_json("typed", "/typed", {"array": [[1, 2]]}),
    as_json("typed, wrong", "/typed", {"array": ["a"]}),
    as_json("undeclared", "/undeclared", {}),
    as_json("inside a dict", "/inside", {}),
    as_json("root", "/root", [[1, 2], [3, 4]]),
    as_json("tensor", "/tensor", {"tensor": [1.5, 2.0]}),
    as_json("tensor, wrong", "/tensor", {"tensor": "x"}),
    as_json("table", "/table", {"table": _ROWS}),
    as_json("table, wrong", "/table", {"table": 3}),
]
