"""What uv says, as a sentence."""

from __future__ import annotations

import pytest

from bentofn.packager.environment.uv import essence, unreachable

NEW = """error: Request failed after 3 retries in 12.3s
  cause: Failed to fetch: http://me:pw@127.0.0.1:1/simple/zzz/
  cause: error sending request for url (http://me:pw@127.0.0.1:1/simple/zzz/)
  cause: client error (Connect)
  cause: Connection refused (os error 111)
"""
OLD = """error: Failed to fetch: `https://pypi.org/simple/zzz/`
  Caused by: error sending request for url (https://pypi.org/simple/zzz/)
  Caused by: dns error
"""
UNKNOWN = """error: No solution found when resolving dependencies
  cause: Because zzz was not found in the package registry and you require zzz, we can conclude.
"""


@pytest.mark.parametrize(
    ("stderr", "start"),
    [
        (NEW, "http://****@127.0.0.1:1/simple/zzz/ cannot be reached: Connection refused (os "),
        (OLD, "https://pypi.org/simple/zzz/ cannot be reached: dns error; try again when "),
    ],
)
def test_an_index_that_does_not_answer(stderr: str, start: str) -> None:
    assert str(unreachable(stderr)).startswith(start)


def test_a_package_that_is_unknown_is_no_matter_of_the_network() -> None:
    assert unreachable(UNKNOWN) is None
    assert essence(UNKNOWN).startswith("Because zzz was not found in the package registry")
