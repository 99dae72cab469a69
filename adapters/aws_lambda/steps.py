"""What is done to make a function in AWS agree with what it is to be: steps, in order.

Nothing of it takes requests before the last step, which has the alias name the new version; on a
first deployment that is the function's URL. What is not needed any more goes after that
(:mod:`bentofn.adapters.aws_lambda.leftovers`).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from bentofn.adapters.aws_lambda.alias_steps import alias_steps
from bentofn.adapters.aws_lambda.code_steps import code_steps, description_steps, upload_steps
from bentofn.adapters.aws_lambda.desired import Desired
from bentofn.adapters.aws_lambda.live import Live
from bentofn.adapters.aws_lambda.matching import full_configuration, usable
from bentofn.adapters.aws_lambda.role_steps import log_group_steps, role_steps
from bentofn.adapters.aws_lambda.step import VERSION, Step


def steps(wanted: Desired, live: Live) -> tuple[Step, ...]:
    """What is done, up to and with the step from which the new version takes the requests.

    Args:
        wanted: The function as it is to be.
        live: As it is.
    """
    return (
        *role_steps(wanted, live),
        *log_group_steps(wanted, live),
        *_version(wanted, live),
        *alias_steps(wanted, live),
    )


def _version(wanted: Desired, live: Live) -> Iterator[Step]:
    """The version that is to take the requests: one that is there, or a new one."""
    there = usable(wanted, live)
    names = wanted.names
    which = {"FunctionName": names.function}
    if there is not None:
        if there.number != live.alias:
            yield Step("lambda", "", names.arn, {VERSION: str(there.number)}, until="version")
        yield from description_steps(wanted, live)
        return
    yield from _failed(wanted, live)
    yield from upload_steps(wanted, live)
    yield from code_steps(wanted, live)
    checked = (
        {"CodeSha256": base64.b64encode(bytes.fromhex(wanted.code_digest)).decode()}
        if wanted.package.kind == "Zip"
        else {}
    )
    yield Step(
        "lambda",
        "PublishVersion",
        names.arn,
        {**which, **checked, "Description": wanted.version_description},
        "Publishing a version",
        keeps=(VERSION, "Version"),
        expects=full_configuration(wanted, live),
        until="version",
    )


def _failed(wanted: Desired, live: Live) -> Iterator[Step]:
    """Versions whose snapshot failed; with them there, Lambda would publish no other of the same
    code."""
    for version in live.versions:
        if version.state == "Failed" and version.number != live.alias:
            about = f"{wanted.names.arn}:{version.number}"
            named = {"FunctionName": wanted.names.function, "Qualifier": str(version.number)}
            yield Step("lambda", "DeleteFunction", about, named)
