"""What ``cases/tasks.py`` is asked."""

from collections.abc import Callable
from typing import Any

from differential import Call, Seen, as_json, get
from flows import Flow, Server

COUNT = as_json("", "/count", {})


class Task:
    """A task that was submitted; its id is kept out of what is compared."""

    def __init__(self, server: Server, route: str, seen: Seen) -> None:
        self.server, self.route = server, route
        self.submitted = [seen.status, seen.body["status"], sorted(seen.body)]
        self.id = seen.body["task_id"]

    def ask(self, what: str, method: str = "GET") -> Seen:
        return self.server(get("", f"{self.route}/{what}?task_id={self.id}", method))

    def said(self, what: str, method: str = "GET") -> list[Any]:
        """An answer, without the id."""
        seen = self.ask(what, method)
        body = seen.body
        if isinstance(body, dict):
            body = {key: str(body[key]).replace(self.id, "ID") for key in body if key != "task_id"}
        return [seen.status, seen.headers, body]

    def ended(self, seconds: float = 20) -> str:
        """Its status once it has ended."""
        status = get("", f"{self.route}/status?task_id={self.id}")
        seen = self.server.until(status, lambda s: s.body["status"] != "in_progress", seconds)
        found: str = seen.body["status"]
        return found


def submit(server: Server, route: str, value: Any, **headers: str) -> Task:
    return Task(server, route, server(as_json("", f"{route}/submit", value, **headers)))


def _through(route: str, value: Any) -> Callable[[Server], Any]:
    """A task from its submission to its result, and once more."""

    def run(server: Server) -> Any:
        first = submit(server, route, value, **{"X-Given": "g"})
        state = first.ended(3)
        if state == "in_progress":
            return state
        again = Task(server, route, first.ask("retry", "POST"))
        last = [each.said("get") for each in (first, again) if each.ended()]
        return [first.submitted, state, again.submitted, again.id != first.id, last]

    return run


def _closed(server: Server, number: int) -> list[Task]:
    """Tasks of which at least one runs, and none ends."""
    server(as_json("", "/doors", {"is_open": False}))
    tasks = [submit(server, "/waits", {}) for _ in range(number)]
    server.until(COUNT, lambda seen: seen.body > 0)
    return tasks


def _open(server: Server, *tasks: Task) -> None:
    server(as_json("", "/doors", {"is_open": True}))
    for each in tasks:
        each.ended()


def _at_a_time(server: Server) -> int:
    tasks = _closed(server, 3)
    found: int = server.until(COUNT, lambda seen: seen.body > 1, 1).body
    _open(server, *tasks)
    return found


def _while_it_runs(server: Server) -> Any:
    (task,) = _closed(server, 1)
    said = [task.said(what, method) for what, method in (("get", "GET"), ("retry", "POST"))]
    _open(server, task)
    return said


def _times(server: Server) -> Any:
    """Which times a status has: of a task that runs, of one that waits, of one that has ended."""
    running, waiting = _closed(server, 2)
    bodies = [running.ask("status").body, waiting.ask("status").body]
    _open(server, running, waiting)
    bodies.append(running.ask("status").body)
    keys = ("created_at", "executed_at", "completed_at")
    return [{key: body[key] is not None for key in keys if key in body} for body in bodies]


def _canceled(server: Server) -> tuple[Task, list[Any]]:
    (task,) = _closed(server, 1)
    return task, task.said("cancel", "PUT")


def _cancel(server: Server) -> Any:
    task, said = _canceled(server)
    found = [said, task.ended(1)]
    _open(server, task)
    return found


def _retry_of_canceled(server: Server) -> Any:
    task, _ = _canceled(server)
    status = task.ask("retry", "POST").status
    _open(server)
    return status


CALLS: list[Call | Flow] = [
    as_json("a call", "/double", {"n": 4}),
    as_json("a call, refused", "/double", {"n": -4}),
    as_json("a call, wrong", "/double", {"n": "x"}),
    get("submit by GET", "/double/submit"),
    get("status without an id", "/double/status"),
    get("status of an unknown id", "/double/status?task_id=x"),
    get("get without an id", "/double/get"),
    get("get of an unknown id", "/double/get?task_id=x"),
    get("retry without an id", "/double/retry", "POST"),
    get("retry of an unknown id", "/double/retry?task_id=x", "POST"),
    get("cancel without an id", "/double/cancel", "PUT"),
    get("cancel of an unknown id", "/double/cancel?task_id=x", "PUT"),
    as_json("submit what is no task", "/plain/submit", {"n": 1}),
    get("schema", "/schema.json"),
    Flow("a task", _through("/double", {"n": 4})),
    Flow("a task that fails", _through("/double", {"n": -4})),
    Flow("a task with a wrong body", _through("/double", {"n": "x"})),
    Flow("a task's status and headers", _through("/labelled", {})),
    Flow("a task with a file as its answer", _through("/copy", {})),
    Flow("a task whose answer cannot be made", _through("/unmakable", {})),
    Flow("get and retry while it runs", _while_it_runs),
    Flow("tasks at a time", _at_a_time),
    Flow("created_at", lambda server: [each["created_at"] for each in _times(server)]),
    Flow("executed_at", lambda server: [each["executed_at"] for each in _times(server)]),
    Flow("completed_at", lambda server: [each.get("completed_at") for each in _times(server)]),
    Flow("cancel", _cancel),
    Flow("retry of a canceled task", _retry_of_canceled),
]
