"""A function's versions, which are its app's; rolling back; its end."""

from __future__ import annotations

from collections.abc import Iterator

from bentofn.adapters.modal.errors import explained
from bentofn.adapters.modal.live import Live, find_live
from bentofn.adapters.modal.session import Session
from bentofn.adapters.modal.weights import remove_volume
from bentofn.adapters.protocol import Deployed, Progress, Version
from bentofn.adapters.versions import choose
from bentofn.runtime.errors import UserError

_GONE = "Modal says that it cannot be rolled back to"


def versions(session: Session, function: str) -> list[Version]:
    """The versions of a function, the first one first; those of others' deployments have no bento.

    Raises:
        UserError: There is no such function, or a call failed.
    """
    with explained(f"Asking for the versions of {function!r}", session.calls):
        return versions_of(require_live(session, function))


def versions_of(live: Live) -> list[Version]:
    """The versions of a live app, the first one first."""
    return [
        Version(
            number=each.number,
            bento=live.bento(each),
            digest=each.digest,
            created=each.created,
            weight=1.0 if each is live.now else 0.0,
            note="" if each.may_return or each is live.now else _GONE,
        )
        for each in live.versions
    ]


def rollback(session: Session, function: str, version: int | None, progress: Progress) -> Deployed:
    """Have another version serve; in Modal's history it is a new entry that repeats it.

    Raises:
        UserError: There is no such function or version, or a call failed.
    """
    from modal_proto import api_pb2

    with explained(f"Giving the requests of {function!r} to a version", session.calls):
        live = require_live(session, function)
        number = choose(versions_of(live), function, version)
        changed = live.now is None or number != live.now.number
        if changed:
            progress(f"Giving all requests to version {number}")
            request = api_pb2.AppRollbackRequest(app_id=live.app_id, version=number)
            session.ask("AppRollback", request)
            live = require_live(session, function)
    assert live.now is not None
    return Deployed(
        name=function,
        url=live.url,
        version=live.now.number,
        bento=live.bento(live.now),
        digest=live.now.digest,
        changed=changed,
        snapshot="modal",
    )


def destroy(session: Session, function: str) -> None:
    """Stop a function's app, which ends its containers, and remove its volume.

    An app that a failed deployment began is stopped too.

    Raises:
        UserError: There is nothing of the function, or a call failed.
    """
    from modal_proto import api_pb2

    with explained(f"Destroying {function!r}", session.calls):
        live = find_live(session, function)
        if live is not None:
            session.ask("AppStop", api_pb2.AppStopRequest(app_id=live.app_id))
        begun = list(_begun(session, function))
        for app_id in begun:
            session.ask("AppStop", api_pb2.AppStopRequest(app_id=app_id))
        had_volume = remove_volume(session, function)
    if live is None and not begun and not had_volume:
        raise unknown(function)


def _begun(session: Session, function: str) -> Iterator[str]:
    """The apps of a function's name that were made and never deployed."""
    from modal_proto import api_pb2

    request = api_pb2.AppListRequest(environment_name=session.environment)
    for app in session.ask("AppList", request).apps:
        if app.state == api_pb2.APP_STATE_INITIALIZING and app.description == function:
            yield app.app_id


def require_live(session: Session, function: str) -> Live:
    """A function as it is deployed.

    Raises:
        UserError: It is not.
    """
    live = find_live(session, function)
    if live is None:
        raise unknown(function)
    return live


def unknown(function: str) -> UserError:
    """The sentence of a function that is not there."""
    return UserError(
        f"There is no function {function!r} on target modal, in this Modal environment; "
        "bentofn status --target modal lists them."
    )
