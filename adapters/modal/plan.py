"""What deploying to Modal would do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from bentofn.adapters.changes import changes_between
from bentofn.adapters.load import Load
from bentofn.adapters.modal.bento import Bento
from bentofn.adapters.modal.capabilities import CAPABILITIES
from bentofn.adapters.modal.desired import Desired, desire
from bentofn.adapters.modal.errors import explained
from bentofn.adapters.modal.live import Live, find_files, find_live, read_record
from bentofn.adapters.modal.price import cost_of
from bentofn.adapters.modal.record import Record
from bentofn.adapters.modal.rules import problems_of
from bentofn.adapters.modal.secrets import missing_secrets
from bentofn.adapters.modal.session import Session
from bentofn.adapters.modal.weights import weights_of
from bentofn.adapters.plan import Change, Plan, Upload, in_order
from bentofn.adapters.protocol import FunctionSpec


def make_plan(spec: FunctionSpec, bento: Bento, load: Load | None) -> Plan:
    """The plan of a function; only what it refuses is told where it does.

    Args:
        spec: The function.
        bento: Its bento.
        load: What the price is for.

    Raises:
        UserError: Modal cannot be asked.
    """
    problems = problems_of(spec, bento)
    plan = Plan("modal", spec.name, problems=problems)
    if not plan.ok:
        return plan
    desired = desire(spec, bento)
    session = Session()
    with explained(f"Planning {spec.name!r}", session.calls):
        live = find_live(session, spec.name)
        record = read_record(session, spec.name, live) if live is not None else None
        files = live.files if live is not None else find_files(session, spec.name)
        missing = missing_secrets(session, desired.secrets)
        problems = in_order([*problems, *missing])
    return dataclasses.replace(
        plan,
        problems=problems,
        changes=tuple(_changes(desired, live, record)),
        uploads=tuple(_uploads(desired, files)),
        cost=None if load is None else cost_of(spec.settings, desired.concurrency, load),
    )


def _changes(desired: Desired, live: Live | None, record: Record | None) -> Iterator[Change]:
    if live is not None and record is None:
        # Somebody else's deployment, or one whose record is gone: all is put as it is to be.
        yield Change("app", f"version {live.now.number}" if live.now else "deployed", "replaced")
        return
    before = None if record is None else record.spec
    yield from changes_between(before, desired.record.spec, CAPABILITIES)
    now = desired.record
    if record is not None and record.bento == now.bento and record.digest != now.digest:
        yield Change("bento", record.digest[:19], now.digest[:19])


def _uploads(desired: Desired, files: Mapping[str, int]) -> Iterator[Upload]:
    for each in weights_of(desired, files):
        yield Upload(f"model {each.model.name}:{each.model.version}", each.bytes, each.present)
