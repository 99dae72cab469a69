"""What ``cases/echoes.py`` is asked."""

from differential import Part, as_json, form

_TEXT = Part("text", b"rice", "a.txt", "text/plain")

CALLS = [
    as_json("an array", "/array", {"array": [[1, 2], [3, 4]]}),
    as_json("a transposed array", "/transpose", {"array": [[1, 2], [3, 4]]}),
    as_json("a matrix", "/matrix", {"array": [[1, 2, 3]]}),
    as_json("a flat matrix", "/matrix", {"array": [1, 2, 3, 4, 5, 6]}),
    as_json("no matrix", "/matrix", {"array": [1, 2]}),
    as_json("numbers", "/numbers", {"array": [1, 2.5]}),
    as_json("a root array", "/root_array", [1.5, 2]),
    as_json("arrays", "/arrays", {"arrays": [[1], [2.5]], "names": ["a", "b"]}),
    as_json("a tensor", "/tensor", {"tensor": [[1.5], [2]]}),
    as_json("a row", "/row", {"tensor": [1, 2]}),
    as_json("a root tensor", "/root_tensor", [[1.5], [2]]),
    as_json("a table", "/table", {"table": [{"a": 1, "b": "x"}, {"a": 2, "b": None}]}),
    as_json("a root table", "/root_table", [{"a": 1, "b": "x"}]),
    as_json("a batch", "/batch", {"rows": [[1, 2, 3], [4, 5, 6]]}),
    as_json("a batch across", "/across", {"columns": [[1, 2, 3], [4, 5, 6]]}),
    as_json("a batch of texts", "/any_batch", {"array": ["a", "b"]}),
    as_json("a batch of a tensor", "/tensor_batch", {"tensor": [1, 2, 3]}),
    form("a letter", "/letter", _TEXT, Part("title", b"Dear")),
    as_json("a painted image", "/paints", {"width": 3}),
    as_json("an image that is too wide", "/paints", {"width": 100}),
]
