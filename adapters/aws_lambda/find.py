"""Finds functions in an account by the names that users know them by."""

from __future__ import annotations

from collections.abc import Iterator

from bentofn.adapters.aws_lambda.names import (
    FUNCTION_TAG,
    LOG_GROUPS,
    ROLES,
    Names,
    function_name,
)
from bentofn.adapters.aws_lambda.reading import read_log_tags
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.protocol import FunctionSpec
from bentofn.runtime.errors import UserError

_VARIABLE = "BENTOFN_FUNCTION"
_PLACES = len(("bentofn", "region", "name", "function"))


def names_of(session: Session, spec: FunctionSpec) -> Names:
    """What the parts of a function are called that is to be deployed."""
    bucket = spec.settings.aws.bucket or ""
    return _names(session, spec.name, function_name(spec), bucket)


def find(session: Session, name: str) -> Names:
    """A function that is deployed, or what a failed deployment left of one.

    Args:
        session: The account.
        name: Its name in ``serverless.yml``, or in AWS.

    Raises:
        UserError: There is none, or more than one.
    """
    found = find_any(session, name)
    if not found:
        raise UserError(
            f"There is no function {name!r} of bentofn's in AWS's region {session.region} "
            f"(account {session.account}); deploy it, or set AWS_DEFAULT_REGION "
            "and AWS_PROFILE to where it is."
        )
    if len(found) > 1:
        every = ", ".join(names.function for names in found)
        raise UserError(f"There are several functions {name!r}: {every}; name one of these.")
    return found[0]


def find_any(session: Session, name: str | None = None) -> list[Names]:
    """The functions in the region, or those of one name, by name."""
    found = {names.function: names for names in _every(session, name)}
    if name is not None and not found:
        found = {names.function: names for names in _unfinished(session, name)}
    return [found[key] for key in sorted(found)]


def _every(session: Session, name: str | None) -> Iterator[Names]:
    """By their roles, which are made first and go last; by the functions where the user's role is
    none of ours."""
    path = f"{ROLES}{session.region}/"
    roles = 0
    for role in session.pages("iam", "ListRoles", f"roles {path}*", "Roles", PathPrefix=path):
        place = role["Path"].strip("/").split("/")
        if len(place) != _PLACES:
            continue  # somebody else's
        given, function = place[2:]
        if name in (None, given, function):
            roles += 1
            yield _names(session, given, function)
    if roles and name is not None:
        return
    every = session.pages("lambda", "ListFunctions", "the functions", "Functions")
    for each in every:
        given = (each.get("Environment") or {}).get("Variables", {}).get(_VARIABLE)
        function = each["FunctionName"]
        if given and name in (None, given, function):
            yield _names(session, given, function)


def _unfinished(session: Session, name: str) -> Iterator[Names]:
    """By their log groups, which are made before the function and go after it: with a role of the
    user's nothing else says whose they are."""
    groups = session.pages(
        "logs", "DescribeLogGroups", "the log groups", "logGroups", logGroupNamePattern=name
    )
    for each in groups:
        function = each["logGroupName"].removeprefix(LOG_GROUPS)
        if name not in function or function == each["logGroupName"]:
            continue
        names = _names(session, name, function)
        given = read_log_tags(session, names).get(FUNCTION_TAG)
        if given and name in (given, function):
            yield _names(session, given, function)


def _names(session: Session, name: str, function: str, bucket: str = "") -> Names:
    return Names(name, function, session.partition, session.region, session.account, bucket)
