"""What ``cases/tasks.py`` is asked."""

from differential import as_json, get

CALLS = [
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
]
