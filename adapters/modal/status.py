"""How functions stand on Modal."""

from __future__ import annotations

from collections.abc import Iterator

from bentofn.adapters.modal.entry import CLASS
from bentofn.adapters.modal.errors import explained
from bentofn.adapters.modal.history import require_live
from bentofn.adapters.modal.live import OURS, Live, find_live, read_record
from bentofn.adapters.modal.session import Session
from bentofn.adapters.protocol import FunctionStatus, InstanceStatus
from bentofn.adapters.schedule import ScheduleStatus


def read_status(session: Session, function: str | None) -> list[FunctionStatus]:
    """One function's state, or all functions' by name.

    Args:
        session: Modal.
        function: Which; None for all of this Modal environment.

    Raises:
        UserError: There is no such function, or a call failed.
    """
    with explained("Asking how functions stand", session.calls):
        if function is not None:
            return [_status(session, function, require_live(session, function))]
        return [
            _status(session, name, live)
            for name in sorted(_names(session))
            if (live := find_live(session, name)) is not None
        ]


def _names(session: Session) -> Iterator[str]:
    """The apps of this environment that bentofn made."""
    from modal_proto import api_pb2

    request = api_pb2.AppListRequest(environment_name=session.environment)
    for app in session.ask("AppList", request).apps:
        if app.state != api_pb2.APP_STATE_DEPLOYED:
            continue
        tags = session.ask("AppGetTags", api_pb2.AppGetTagsRequest(app_id=app.app_id)).tags
        if tags.get(OURS):
            yield tags[OURS]


def _status(session: Session, function: str, live: Live) -> FunctionStatus:
    from modal_proto import api_pb2

    request = api_pb2.TaskListRequest(environment_name=session.environment, app_id=live.app_id)
    tasks = session.ask("TaskList", request).tasks
    record = read_record(session, function, live)
    now = live.now
    settings = None if record is None else record.spec.settings
    return FunctionStatus(
        name=function,
        url=live.url,
        version=now.number if now else 0,
        bento=live.bento(now) if now else "",
        digest=now.digest if now else "",
        deployed=now.created if now else "",
        state="running" if tasks else "zero",
        snapshot="none" if settings is not None and settings.snapshot == "none" else "modal",
        apis={} if record is None else dict(record.routes),
        instances=tuple(
            InstanceStatus(task.task_id, "ready" if task.started_at else "starting", "restored", 0)
            for task in tasks
        ),
        profile="modal",
        queued=_waiting(session, live),
        requests=None,
        refused=None,
        cost=None,
        schedules=tuple(
            ScheduleStatus(
                each.name, each.expression, each.timezone, "enabled" if each.enabled else "disabled"
            )
            for each in (settings.schedules if settings is not None else ())
        ),
    )


def _waiting(session: Session, live: Live) -> int | None:
    """Calls that wait for a container; None of an app that has no such class."""
    from modal_proto import api_pb2

    function_id = live.functions.get(f"{CLASS}.*")
    if function_id is None:
        return None
    request = api_pb2.FunctionGetCurrentStatsRequest(function_id=function_id)
    return int(session.ask("FunctionGetCurrentStats", request).backlog)
