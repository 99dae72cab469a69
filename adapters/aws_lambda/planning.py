"""What deploying would do, and what it is refused for: the same for a plan and for an apply."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bentofn.adapters.aws_lambda.desired import Desired, desire
from bentofn.adapters.aws_lambda.find import names_of
from bentofn.adapters.aws_lambda.leftovers import leftovers
from bentofn.adapters.aws_lambda.live import Live
from bentofn.adapters.aws_lambda.packages import find_bento, package_of
from bentofn.adapters.aws_lambda.permissions import missing
from bentofn.adapters.aws_lambda.queues import problems_of_queues
from bentofn.adapters.aws_lambda.reading import read_live
from bentofn.adapters.aws_lambda.region import problems_of_region
from bentofn.adapters.aws_lambda.rules import (
    problems_of_package,
    problems_of_size,
    problems_of_spec,
)
from bentofn.adapters.aws_lambda.secret_values import read_values
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.aws_lambda.step import PUSH, Step
from bentofn.adapters.aws_lambda.steps import steps
from bentofn.adapters.bento import KnownBento
from bentofn.adapters.load import Load
from bentofn.adapters.plan import Change, Plan, Problem, Upload, check, in_order
from bentofn.adapters.protocol import FunctionSpec
from bentofn.packager.home import Home
from bentofn.packager.lambda_.parts import LambdaPackage
from bentofn.runtime.errors import UserError

NAME = "aws-lambda"

Open = Callable[[str | None], Session]
"""Opens a session; the region is for where the chain says none."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Intent:
    """What is to become of a function.

    Args:
        session: The account.
        wanted: It as it is to be.
        live: It as it is.
    """

    session: Session
    wanted: Desired
    live: Live

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is done until the new version takes the requests."""
        return steps(self.wanted, self.live)


def make_plan(open_session: Open, home: Home, spec: FunctionSpec, load: Load | None) -> Plan:
    """The plan of a function; where something is refused, AWS is not asked.

    Raises:
        UserError: There is no such bento, or AWS cannot be asked.
    """
    from bentofn.adapters.aws_lambda.price import cost_of

    problems, intent = look(open_session, home, spec, lambda _: None)
    if intent is None:
        return Plan(NAME, spec.name, problems=problems)
    return Plan(
        NAME,
        spec.name,
        changes=_changes(intent),
        uploads=tuple(_uploads(intent)),
        problems=problems,
        cost=None if load is None else cost_of(intent.wanted, load),
    )


def intend(open_session: Open, home: Home, spec: FunctionSpec, report: Report) -> Intent:
    """What an apply is to do.

    Raises:
        UserError: With the plan's sentences, where something of the function is refused.
    """
    problems, intent = look(open_session, home, spec, report)
    check(NAME, spec.name, problems)
    assert intent is not None
    return intent


def look(
    open_session: Open, home: Home, spec: FunctionSpec, report: Report
) -> tuple[tuple[Problem, ...], Intent | None]:
    """What does not fit, and what is to be done where that keeps nothing from being done."""
    bento = find_bento(home, spec.bento)
    problems = problems_of_spec(spec, bento.manifest)
    package, more = _package(home, spec, bento, report, problems)
    problems += more
    if package is None or _blocked(problems):
        return in_order(problems), None
    session = open_session(spec.settings.aws.region)
    problems += problems_of_region(spec.settings, session.region, package)
    names = names_of(session, spec)
    secrets = read_values(session, spec.settings.secrets)
    live = read_live(session, names, kind=package.kind)
    wanted = desire(spec, names, (bento.tag, bento.digest), package, secrets)
    problems += problems_of_size(wanted.configuration["Environment"]["Variables"])
    intent = Intent(session, wanted, live)
    problems += _of_live(wanted, live)
    timeout = int(wanted.configuration["Timeout"])
    problems += problems_of_queues(session, names, spec.settings.aws.queues, timeout, live)
    problems += missing(session, wanted, intent.steps)
    return in_order(problems), intent


def _package(
    home: Home, spec: FunctionSpec, bento: KnownBento, report: Report, problems: list[Problem]
) -> tuple[LambdaPackage | None, list[Problem]]:
    if _blocked(problems):
        return None, []
    try:
        package = package_of(home, spec, bento, report)
    except UserError as error:
        return None, [Problem("violation", "", str(error))]
    return package, list(problems_of_package(spec.settings, package))


def _blocked(problems: list[Problem]) -> bool:
    return any(each.kind in ("violation", "refused") for each in problems)


def _of_live(wanted: Desired, live: Live) -> Iterator[Problem]:
    latest = live.latest
    if latest is not None and latest.kind != wanted.package.kind:
        before, after = latest.kind.lower(), wanted.package.kind.lower()
        yield Problem(
            "violation",
            "packaging",
            f"{wanted.names.function} is deployed as a package of kind {before}, which Lambda does "
            f"not turn into one of kind {after}; say packaging: {before}, or destroy it first.",
        )


def _changes(intent: Intent) -> tuple[Change, ...]:
    """Each once, in the order in which it is done."""
    every = (*intent.steps, *leftovers(intent.wanted, intent.live))
    found: dict[str, Change] = {}
    for step in every:
        for change in step.changes:
            found.setdefault(change.path, change)
    return tuple(found.values())


def _uploads(intent: Intent) -> Iterator[Upload]:
    wanted = intent.wanted
    if wanted.package.image is not None:
        image = wanted.package.image
        sends = any(step.operation == PUSH for step in intent.steps)
        yield Upload("image", image.size, not sends)
        return
    sent = {step.body.digest for step in intent.steps if step.body is not None}
    for part in (*wanted.package.parts, *wanted.package.fetched):
        yield Upload(part.name, part.size, part.digest not in sent)
