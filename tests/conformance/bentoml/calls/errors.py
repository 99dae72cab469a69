"""What ``cases/errors.py`` is asked."""

from differential import as_json

_KINDS = (
    *("BadInput", "BentoMLException", "InternalServerError", "InvalidArgument", "NotFound"),
    *("ServiceUnavailable", "Teapot", "Unauthorized", "Forbidden", "ValueError", "KeyError"),
)

CALLS = [
    *[as_json(kind, "/fail", {"kind": kind}) for kind in _KINDS],
    *[as_json(f"{kind}, async", "/fail_later", {"kind": kind}) for kind in _KINDS],
    as_json("Starlette's", "/http", {}),
    as_json("slow", "/slow", {}),
    as_json("a stream that takes long", "/late_stream", {}),
    as_json("a result that is not JSON", "/unserialisable", {}),
    as_json("a header with a line break", "/odd_header", {}),
]
