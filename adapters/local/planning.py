"""What a deployment to the local platform would do."""

from __future__ import annotations

import dataclasses

from bentofn.adapters.bento import known_bento
from bentofn.adapters.changes import changes_between
from bentofn.adapters.load import Load
from bentofn.adapters.local.capabilities import CAPABILITIES
from bentofn.adapters.local.core.tuning import profile_of
from bentofn.adapters.local.price import cost_of
from bentofn.adapters.local.rules import problems_of
from bentofn.adapters.local.state import State
from bentofn.adapters.plan import Change, Plan
from bentofn.adapters.settings import FunctionSpec
from bentofn.packager.home import Home


def make_plan(home: Home, state: State, spec: FunctionSpec, load: Load | None) -> Plan:
    """Plan an apply; the platform need not run for that.

    Args:
        home: Whose bentos.
        state: What is deployed.
        spec: The function.
        load: What the price is for; None for no price.
    """
    bento = known_bento(home, spec.bento)
    spec = dataclasses.replace(spec, bento=bento.tag)
    live = next((each for each in state.live() if each.spec.name == spec.name), None)
    changes = changes_between(live.spec if live else None, spec, CAPABILITIES)
    if live is not None and live.digest != bento.digest and live.spec.bento == spec.bento:
        changes = (Change("bento", live.digest, bento.digest), *changes)
    profile = profile_of(spec.settings)
    return Plan(
        target="local",
        function=spec.name,
        changes=changes,
        problems=problems_of(spec, profile, bento.manifest),
        cost=None if load is None else cost_of(profile, spec.settings, load),
    )
