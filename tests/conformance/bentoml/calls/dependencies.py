"""What ``cases/dependencies.py`` is asked."""

from typing import Any

from differential import Call, as_json

_KINDS = ("InvalidArgument", "NotFound", "BentoMLException", "ValueError")


def _call(name: str, method: str, *args: Any, **kwargs: Any) -> Call:
    return as_json(name, "/forward", {"name": method, "given": args, "named": kwargs})


CALLS = [
    as_json("in sequence", "/in_sequence", {"x": 3}),
    as_json("in sequence, async", "/in_sequence_later", {"x": 3}),
    as_json("in parallel", "/in_parallel", {"xs": [1, 2, 3]}),
    as_json("batches", "/batched", {"xs": [1, 2, 3]}),
    as_json("one of two fails", "/one_fails", {"kind": "NotFound"}),
    as_json("a service that two share", "/shared", {}),
    as_json("arrays", "/arrays", {}),
    as_json("a model", "/models", {}),
    as_json("a dict for a model", "/models", {"as_dict": True}),
    _call("a text for a number", "double", "7"),
    _call("a field's default", "double"),
    _call("a field's limit", "double", 101),
    _call("a text that is no number", "double", "seven"),
    _call("an argument too many", "double", 1, 2),
    _call("an argument twice", "double", 1, x=2),
    _call("an argument that there is not", "double", 1, y=2),
    _call("an argument that is missing", "asked"),
    _call("an argument named context", "asked", "why", "facts"),
    _call("an argument named context, by name", "asked", "why", context="facts"),
    _call("lists for an array", "kind", [1, 2]),
    _call("the whole body", "whole", [{"x": 1}, {"x": "2"}]),
    _call("more arguments", "rest", "a", 1, "2"),
    _call("more arguments, none", "rest", "a"),
    _call("named arguments", "named", "a", b=1, c=[2]),
    _call("a method that is no endpoint", "missing"),
    as_json("files", "/files", {"as_text": False}),
    as_json("names of files", "/files", {"as_text": True}),
    as_json("an image", "/images", {}),
    as_json("a file as the result", "/file_back", {}),
    as_json("a stream", "/gathered", {"text": "größe"}),
    as_json("a stream, async", "/gathered_later", {"text": "größe"}),
    as_json("a stream that is passed on", "/passed_on", {"text": "größe"}),
    *[_call(f"fails with {kind}", "fail", kind) for kind in _KINDS],
    *[as_json(f"fails with {kind}, async", "/fails_later", {"kind": kind}) for kind in _KINDS],
    *[as_json(f"{kind} is caught", "/caught", {"kind": kind}) for kind in _KINDS],
    as_json("has a client", "/has_client", {}),
    as_json("too slow", "/too_slow", {}),
    as_json("ready", "/ready", {}),
]
