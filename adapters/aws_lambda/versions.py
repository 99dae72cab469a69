"""The versions of a function, and which of them get the requests."""

from __future__ import annotations

from collections.abc import Mapping

from bentofn.adapters.aws_lambda.live import LiveVersion
from bentofn.adapters.aws_lambda.names import ALIAS, Names
from bentofn.adapters.aws_lambda.reading import read_alias, read_versions
from bentofn.adapters.aws_lambda.run_steps import Runner
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.aws_lambda.step import VERSION, Step
from bentofn.adapters.protocol import Deployed, Progress, Version
from bentofn.adapters.versions import choose
from bentofn.runtime.errors import UserError


def list_versions(session: Session, names: Names) -> list[Version]:
    """The versions, the first one first.

    Raises:
        UserError: AWS refused, or was not reached.
    """
    live, weights = read_alias(session, names)
    shares = _shares(live, weights)
    return [_version(each, shares) for each in read_versions(session, names)]


def rollback(session: Session, names: Names, number: int | None, progress: Progress) -> Deployed:
    """Give all requests to an older version.

    Raises:
        UserError: There is none, or AWS refused.
    """
    versions = list_versions(session, names)
    _require(versions, names)
    return _share(session, names, choose(versions, names.name, number), 1.0, progress)


def promote(
    session: Session, names: Names, number: int, weight: float, progress: Progress
) -> Deployed:
    """Give a share of the requests to a version.

    Raises:
        UserError: There is no such version, no other that could have the rest, or AWS refused.
    """
    versions = list_versions(session, names)
    _require(versions, names)
    return _share(session, names, choose(versions, names.name, number), weight, progress)


def _share(
    session: Session, names: Names, number: int, weight: float, progress: Progress
) -> Deployed:
    versions = {each.number: each for each in read_versions(session, names)}
    alias, weights = read_alias(session, names)
    before = _shares(alias, weights)
    ready = Step("lambda", "", names.arn, {VERSION: str(number)}, until="version")
    Runner(session, names, progress).run([ready])
    main, others = number, {}
    if weight < 1:
        rest = {each: share for each, share in before.items() if each != number}
        if not rest:
            raise UserError(
                f"Version {number} of {names.name!r} has all requests; give another one a share."
            )
        main = max(rest, key=lambda each: rest[each])
        others = {number: weight}
    wanted = _shares(main, others)
    if wanted != before:
        progress(f"Giving {weight * 100:g}% of the requests to version {number}")
        session.ask(
            "lambda",
            "UpdateAlias",
            names.alias_arn,
            FunctionName=names.function,
            Name=ALIAS,
            FunctionVersion=str(main),
            RoutingConfig={
                "AdditionalVersionWeights": {str(key): share for key, share in others.items()}
            },
        )
    url = session.find(
        "lambda",
        "GetFunctionUrlConfig",
        names.alias_arn,
        FunctionName=names.function,
        Qualifier=ALIAS,
    )
    tag, digest = versions[number].bento
    return Deployed(
        name=names.name,
        url=(url or {}).get("FunctionUrl", ""),
        version=number,
        bento=tag,
        digest=digest,
        changed=wanted != before,
        snapshot=snapshot_of(versions[number]),
    )


def snapshot_of(version: LiveVersion) -> str:
    """How a version is started: ``snapstart`` or ``none``."""
    return "none" if version.configuration["SnapStart"]["ApplyOn"] == "None" else "snapstart"


def _shares(main: int | None, others: Mapping[int, float]) -> dict[int, float]:
    """Share of the requests by version."""
    if main is None:
        return {}
    given = {number: share for number, share in others.items() if share}
    return {main: round(1 - sum(given.values()), 6), **given}


def _version(live: LiveVersion, shares: Mapping[int, float]) -> Version:
    tag, digest = live.bento
    note = "" if live.state in ("Active", "Inactive") else f"{live.state}: {live.reason}"
    created = live.modified.replace("+0000", "+00:00")
    return Version(live.number, tag, digest, created, shares.get(live.number, 0.0), note)


def _require(versions: list[Version], names: Names) -> None:
    if not versions:
        raise UserError(f"Function {names.name!r} has no version yet; deploy it.")
