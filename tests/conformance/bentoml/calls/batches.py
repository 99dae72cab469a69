"""What ``cases/batches.py`` is asked."""

from differential import as_json

CALLS = [
    as_json("lengths", "/lengths", {"texts": ["a", "bc"]}),
    as_json("lengths of none", "/lengths", {"texts": []}),
    as_json("lengths of more than a batch", "/lengths", {"texts": ["x" * n for n in range(10)]}),
    as_json("lengths, wrong", "/lengths", {"texts": [1]}),
    as_json("later", "/later", {"texts": ["a"]}),
    as_json("arrays", "/arrays", {"rows": [[1, 2], [3, 4]]}),
    as_json("arrays without the batch axis", "/arrays", {"rows": 3}),
    as_json("across", "/across", {"columns": [[1, 2, 3], [4, 5, 6]]}),
    as_json("short", "/short", {"texts": ["a", "b"]}),
    as_json("fails", "/fails", {"texts": ["a"]}),
    as_json("breaks", "/breaks", {"texts": ["a"]}),
    as_json("root", "/root", ["a", "b"]),
]
