"""What ``cases/busy.py`` is asked while one request runs."""

from collections.abc import Callable

from differential import Call, as_json, get
from flows import Flow, Server


def _while_busy(*calls: Call) -> Callable[[Server], object]:
    def ask(server: Server) -> object:
        running = server.begin(as_json("", "/waits", {"seconds": 1}))
        server.until(get("", "/readyz"), lambda seen: seen.status == 503)
        answers = [server(call) for call in calls]
        seen = [[each.status, each.body if each.status == 429 else None] for each in answers]
        return [seen, running.result().body]

    return ask


_METHOD = as_json("", "/waits", {"seconds": 0})
_PAGES = [get("", path) for path in ("/schema.json", "/docs.json", "/")]

CALLS = [
    get("ready", "/readyz"),
    Flow("health and methods", _while_busy(get("", "/livez"), get("", "/readyz"), _METHOD)),
    Flow("pages", _while_busy(*_PAGES)),
]
