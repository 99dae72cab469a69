"""How functions stand."""

from __future__ import annotations

import dataclasses

from bentofn.adapters.aws_lambda.find import find, find_any
from bentofn.adapters.aws_lambda.names import Names
from bentofn.adapters.aws_lambda.reading import read_live
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.aws_lambda.versions import snapshot_of
from bentofn.adapters.endpoints import routes_of
from bentofn.adapters.protocol import FunctionStatus
from bentofn.adapters.schedule import ScheduleStatus
from bentofn.packager.home import Home
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError


def read_status(session: Session, home: Home, name: str | None) -> list[FunctionStatus]:
    """One function's state, or all functions' of the region by name.

    Raises:
        UserError: There is no such function, or AWS refused.
    """
    every = find_any(session) if name is None else [find(session, name)]
    return [_without_figures(_status(session, home, names)) for names in every]


def _without_figures(status: FunctionStatus) -> FunctionStatus:
    """Lambda itself tells none of them; CloudWatch has some, minutes later."""
    return dataclasses.replace(
        status, instances=None, queued=None, requests=None, refused=None, cost=None
    )


def _status(session: Session, home: Home, names: Names) -> FunctionStatus:
    live = read_live(session, names)
    now = live.now
    if now is None:
        return FunctionStatus(
            names.name, "", 0, "", "", "", "broken", "none",
            note="Its deployment did not end; deploy it again, or destroy it.",
            profile="lambda",
        )  # fmt: skip
    tag, digest = now.bento
    state = {"Active": "running", "Pending": "starting", "Failed": "broken"}.get(now.state, "zero")
    return FunctionStatus(
        name=names.name,
        url=live.address,
        version=now.number,
        bento=tag,
        digest=digest,
        deployed=now.modified.replace("+0000", "+00:00"),
        state=state,
        snapshot=snapshot_of(now),
        note=now.reason if now.state == "Failed" else "",
        apis=_routes(home, tag, digest),
        profile="lambda",
        schedules=tuple(
            ScheduleStatus(
                each,
                raw["ScheduleExpression"],
                raw["ScheduleExpressionTimezone"],
                raw["State"].lower(),
            )
            for each, raw in sorted(live.schedules.items())
        ),
    )


def _routes(home: Home, tag: str, digest: str) -> dict[str, str]:
    """Name to route of a bento's endpoints; none where this machine has not that bento."""
    store = Store(home)
    try:
        entry = store.get("bento", tag)
        contract = store.bento(entry).contract
    except UserError:
        return {}
    if entry.digest != digest:
        return {}
    return routes_of(contract)
