"""What ``cases/streams.py`` is asked."""

from differential import as_json

CALLS = [
    as_json("words", "/words", {"count": 4}),
    as_json("no words", "/words", {"count": 0}),
    as_json("words, wrong", "/words", {"count": "x"}),
    as_json("words later", "/words_later", {}),
    as_json("data", "/data", {}),
    as_json("dicts", "/dicts", {}),
    as_json("models", "/models", {}),
    as_json("subclasses", "/subclasses", {}),
    as_json("subclasses later", "/subclasses_later", {}),
    as_json("headed", "/headed", {}),
    as_json("breaks between", "/breaks_between", {}),
    as_json("breaks first", "/breaks_first", {}),
    as_json("breaks later", "/breaks_later", {}),
    as_json("returned by a plain method", "/returned", {}),
    as_json("a chunk of another type", "/wrong_chunk", {}),
]
