"""The AWS account that the local functions are said to be in."""

from __future__ import annotations

from collections.abc import Mapping

from bentofn.adapters.local.core.profile import load_profile
from bentofn.runtime.errors import UserError

CONCURRENCY = "BENTOFN_LAMBDA_CONCURRENCY"
"""The variable that says how many invocations the account may have at a time: new ones have 10."""


def account_concurrency(environ: Mapping[str, str]) -> int:
    """Invocations of all functions at a time.

    Args:
        environ: The platform's environment.

    Raises:
        UserError: The variable is no number of invocations.
    """
    usual = load_profile("lambda").scaling.account
    assert usual is not None
    given = environ.get(CONCURRENCY, str(usual))
    if not given.isascii() or not given.isdecimal() or not int(given):
        raise UserError(f"{CONCURRENCY} is {given!r}; it must be a whole number, 1 or more.")
    return int(given)
