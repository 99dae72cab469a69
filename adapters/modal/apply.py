"""Makes Modal agree with a function: the weights first, the app last, which Modal swaps at once.

Nothing of what is live changes before the last call (``AppPublish``). What the calls before it
made belongs to the app, or lies in the function's volume by its digest: the next apply takes it
up, and destroying the function removes it.
"""

from __future__ import annotations

import dataclasses
import time

from bentofn.adapters.modal.app import made
from bentofn.adapters.modal.desired import Desired
from bentofn.adapters.modal.errors import explained
from bentofn.adapters.modal.live import Deployment, Live, find_files, find_live, read_record
from bentofn.adapters.modal.secrets import missing_secrets
from bentofn.adapters.modal.session import Session
from bentofn.adapters.modal.weights import fill_volume
from bentofn.adapters.plan import check
from bentofn.adapters.protocol import Deployed, Progress
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError


def apply(home: Home, session: Session, desired: Desired, progress: Progress) -> Deployed:
    """Deploy a function; one that is live as it is to be is left alone.

    Args:
        home: Where the bento is unpacked.
        session: Modal.
        desired: The function.
        progress: Told about each step.

    Raises:
        UserError: A call failed; what was live is live still.
    """
    with explained(f"Deploying {desired.name!r} to Modal", session.calls):
        live = find_live(session, desired.name)
        check("modal", desired.name, tuple(missing_secrets(session, desired.secrets)))
        if live is not None and is_unchanged(session, desired, live):
            return deployed(desired, live, changed=False)
        progress("Preparing the files")
        files = live.files if live is not None else find_files(session, desired.name)
    with explained(f"Deploying {desired.name!r} to Modal", session.calls, has_written=True):
        fill_volume(session, desired, files, progress)
        with made(home, desired) as app:
            progress("Building the image and deploying the app")
            app.deploy(
                client=session.client,
                environment_name=session.environment or None,
                tag=desired.record.tag,
            )
    return _read_back(session, desired, live)


def _read_back(session: Session, desired: Desired, former: Live | None) -> Deployed:
    """What is told of an app that Modal has taken, whether or not it says how it stands now.

    Raises:
        UserError: Somebody else's deployment came after ours.
    """
    live = None
    note = ""
    try:
        with explained("It is deployed; asking Modal how it stands", session.calls):
            live = find_live(session, desired.name)
    except UserError as error:
        note = str(error)
    if live is None or live.now is None:
        number = former.newest + 1 if former is not None else 1
        now = Deployment(number, desired.record.tag, time.time())
        live = Live("", [now], number, now, former.url if former is not None else "")
    elif live.now.tag != desired.record.tag:
        raise UserError(
            f"Modal took the app {desired.name!r} and serves another version of it; somebody else "
            "may have deployed at the same time. Try again."
        )
    done = deployed(desired, live, changed=True)
    return dataclasses.replace(done, note=f"{done.note} {note}".strip())


def is_unchanged(session: Session, desired: Desired, live: Live) -> bool:
    """Whether a function is live as it is to be."""
    if live.now is None or live.now.tag != desired.record.tag:
        return False
    record = read_record(session, desired.name, live)
    return record is not None and record.to_json() == desired.record.to_json()


def deployed(desired: Desired, live: Live, *, changed: bool) -> Deployed:
    """What is told of a deployment."""
    assert live.now is not None
    return Deployed(
        name=desired.name,
        url=live.url,
        version=live.now.number,
        bento=desired.record.bento,
        digest=desired.record.digest,
        changed=changed,
        snapshot="none" if desired.shape.snapshot == "none" else "modal",
        note=_note(desired),
    )


def _note(desired: Desired) -> str:
    if desired.shape.snapshot == "imports":
        return "The snapshot holds what the service imports; gpuSnapshot: true keeps all of it."
    return ""
