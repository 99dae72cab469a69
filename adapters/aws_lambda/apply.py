"""Makes a function in AWS agree with its spec."""

from __future__ import annotations

from bentofn.adapters.aws_lambda.leftovers import leftovers
from bentofn.adapters.aws_lambda.live import Live
from bentofn.adapters.aws_lambda.planning import Intent
from bentofn.adapters.aws_lambda.reading import read_live
from bentofn.adapters.aws_lambda.run_steps import Runner
from bentofn.adapters.aws_lambda.versions import snapshot_of
from bentofn.adapters.protocol import Deployed, Progress
from bentofn.runtime.errors import UserError


def apply(intent: Intent, progress: Progress, *, wait: bool) -> Deployed:
    """Do what there is to do, then take away what is not needed any more.

    Args:
        intent: What is to become of the function.
        progress: Told what is done.
        wait: Whether provisioned environments are waited for.

    Raises:
        UserError: Something failed before the new version took the requests.
    """
    session, wanted, live = intent.session, intent.wanted, intent.live
    runner = Runner(session, wanted.names, progress, wanted, is_patient=wait)
    steps = intent.steps
    runner.run(steps)
    note = ""
    try:
        if steps:
            live = read_live(session, wanted.names, kind=wanted.package.kind)
        rest = leftovers(wanted, live)
        note = runner.clear(rest)
    except UserError as error:
        rest, note = (), f"What is not needed any more was not looked for: {error}"
    return _deployed(intent, live, runner, note, any(step.changes for step in (*steps, *rest)))


def _deployed(intent: Intent, live: Live, runner: Runner, note: str, changed: bool) -> Deployed:
    wanted = intent.wanted
    number = int(runner.made.get("Version") or live.alias or 0)
    now = next((each for each in live.versions if each.number == number), None)
    url = live.address or runner.made.get("url", "")
    return Deployed(
        name=wanted.names.name,
        url=url if wanted.url is not None else "",
        version=number,
        bento=wanted.bento,
        digest=wanted.digest,
        changed=changed,
        snapshot="none" if now is None else snapshot_of(now),
        note=note,
    )
