"""What ``cases/validated.py`` is asked."""

from differential import Part, as_json, form

_TEXT = Part("file", b"rice", "lunch.txt", "text/plain")

CALLS = [
    as_json("square", "/square", {"array": [[1, 2], [3, 4]]}),
    as_json("square, flat", "/square", {"array": [1, 2, 3, 4]}),
    as_json("square, too few", "/square", {"array": [1, 2, 3]}),
    as_json("wide", "/wide", {"array": [[1, 2], [3, 4], [5, 6]]}),
    as_json("wide, odd", "/wide", {"array": [1, 2, 3]}),
    as_json("tensor", "/tensor", {"tensor": [1, 2]}),
    as_json("tensor, too many", "/tensor", {"tensor": [1, 2, 3]}),
    as_json("tensor, wrong", "/tensor", {"tensor": ["a", "b"]}),
    as_json("nested", "/nested", {"arrays": [[1], [[2]]]}),
    as_json("nested, wrong", "/nested", {"arrays": [["a"]]}),
    as_json("columns", "/columns", {"table": {"a": [1, 3], "b": [2, 4], "c": [0, 0]}}),
    as_json("columns, one missing", "/columns", {"table": {"a": [1, 3]}}),
    form("an image", "/only_images", Part("file", b"pixels", "a.png", "image/png")),
    form("no image", "/only_images", _TEXT),
    form("an image without a type", "/only_images", Part("file", b"pixels", "a.png")),
    as_json("audio", "/audio", {}),
    as_json("html", "/html", {}),
    as_json("lines", "/lines", {}),
]
