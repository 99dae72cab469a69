"""Names, ARNs and qualifiers of functions.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html (FunctionName, Qualifier).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bentofn.adapters.local.lambda_.api.errors import invalid, validation

ACCOUNT = "000000000000"
REGION = "us-east-1"
LATEST = "$LATEST"

_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?"
    r"(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
_NAME = re.compile(_PATTERN)
_QUALIFIER_PATTERN = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"
_QUALIFIER = re.compile(_QUALIFIER_PATTERN)
_LONGEST_QUALIFIER = 128
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_EXPRESSION = "Member must satisfy regular expression pattern: "


@dataclass(frozen=True)
class Name:
    """A function, and which version or alias of it.

    Args:
        function: Its name.
        qualifier: ``$LATEST``, a version's number, an alias, or None where none was given.
    """

    function: str
    qualifier: str | None = None

    @property
    def arn(self) -> str:
        """The ARN, with the qualifier where there is one."""
        return arn(self.function, self.qualifier)


def arn(function: str, qualifier: str | None = None) -> str:
    """The ARN of a function, version or alias on this platform."""
    end = "" if qualifier is None else f":{qualifier}"
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}{end}"


def version_number(qualifier: str) -> int | None:
    """The version that a qualifier says by its number; None if it is no number."""
    return int(qualifier) if _VERSION.fullmatch(qualifier) else None


def parse(identifier: str, qualifier: str | None = None) -> Name:
    """Read what a caller named a function by.

    Args:
        identifier: A name, a partial ARN, or an ARN, each with or without a qualifier.
        qualifier: The call's ``Qualifier``, if it has one.

    Raises:
        LambdaError: It is none, or the two qualifiers are not the same.
    """
    if qualifier is not None and len(qualifier) > _LONGEST_QUALIFIER:
        constraint = f"Member must have length less than or equal to {_LONGEST_QUALIFIER}"
        raise validation(qualifier, "qualifier", constraint)
    if qualifier is not None and not _QUALIFIER.fullmatch(qualifier):
        raise validation(qualifier, "qualifier", _EXPRESSION + _QUALIFIER_PATTERN)
    found = _NAME.fullmatch(identifier)
    if found is None or (found[1] and not (found[3] and found[9] and found[10])):
        raise validation(identifier, "functionName", _EXPRESSION + _PATTERN)
    derived: str | None = found[13]
    if derived is not None and qualifier is not None and derived != qualifier:
        raise invalid(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return Name(found[11], derived or qualifier)
