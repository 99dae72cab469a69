"""What ``cases/waiting.py`` is asked."""

from collections.abc import Callable

from differential import Call, Seen, as_json
from flows import Flow, Server


def _came(path: str, number: int) -> Callable[[Seen], bool]:
    return lambda seen: seen.body["came"].get(path, 0) >= number


def _holds(seen: Seen) -> bool:
    return ["hold"] in seen.body["batches"]


def _texts(path: str, *texts: str) -> Call:
    return as_json("", path, {"texts": texts})


CLOSE, OPEN, COUNTS = (as_json("", f"/{name}", {}) for name in ("close", "open", "counts"))


def _behind_another(server: Server, path: str, *others: str) -> list[list[object]]:
    """What requests get that wait for a batch until one before them has ended."""
    server(CLOSE)
    begun = [server.begin(_texts(path, "hold"))]
    server.until(COUNTS, _holds)
    for number, text in enumerate(others, 2):
        begun.append(server.begin(_texts(path, text)))
        server.until(COUNTS, _came(path, number))
    for _ in range(20):  # meanwhile those that have come are read, and wait
        server(COUNTS)
    server(OPEN)
    return [[each.result().status, each.result().body] for each in begun]


def _one_fails(server: Server) -> list[list[object]]:
    """What the requests of a batch get of which one fails."""
    for _ in range(100):  # BentoML's batcher does not always take both
        seen = _behind_another(server, "/items", "good", "bad")
        if ["good", "bad"] in server(COUNTS).body["batches"]:
            return seen
    raise AssertionError("they were never one batch")


def _leaves(server: Server) -> bool:
    """Whether the items of a client run that left before they were begun."""
    server(CLOSE)
    before = server.begin(_texts("/items", "hold"))
    server.until(COUNTS, _holds)
    gone = _texts("/items", "gone")
    server.abandon(gone, lambda: server.until(COUNTS, _came("/items", 2)))
    server.until(COUNTS, lambda seen: seen.body["left"].get("/items", 0) > 0, 1)
    server(OPEN)
    before.result()
    server(_texts("/items", "last"))
    return any("gone" in batch for batch in server(COUNTS).body["batches"])


def _most_at_a_time(server: Server) -> int:
    """How many batches of an async method run at a time."""
    server(CLOSE)
    begun = [server.begin(_texts("/awaited", "a"))]
    server.until(COUNTS, lambda seen: seen.body["most"] > 0)
    begun.append(server.begin(_texts("/awaited", "b")))
    server.until(COUNTS, lambda seen: seen.body["most"] > 1, 1)
    server(OPEN)
    assert [each.result().body for each in begun] == [["a"], ["b"]]
    most: int = server(COUNTS).body["most"]
    return most


CALLS = [
    Flow("requests of one batch", lambda server: _behind_another(server, "/items", "a", "b")),
    Flow("one of a batch fails", _one_fails),
    Flow("a batch takes long", lambda server: _behind_another(server, "/slow", "slow", "other")),
    Flow("a client leaves", _leaves),
    Flow("batches of an async method", _most_at_a_time),
]
