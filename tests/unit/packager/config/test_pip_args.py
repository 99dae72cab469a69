"""Which of pip's options mean something for a bento's environment."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.config.pip_args import parse_pip_args


@pytest.mark.parametrize(
    ("text", "found", "unknown"),
    [
        ("", {}, []),
        ("--pre -U --force-reinstall", {"--pre": []}, []),
        ("-i https://a/simple", {"--index-url": ["https://a/simple"]}, []),
        ("-ihttps://a/simple", {"--index-url": ["https://a/simple"]}, []),
        ("--find-links=x -f 'y z'", {"--find-links": ["x", "y z"]}, []),
        ("-c a.txt -r b.txt", {"--constraint": ["a.txt"], "--requirement": ["b.txt"]}, []),
        ("--only-binary :all:", {"--only-binary": [":all:"]}, []),
        ("--no-binary=a,b", {"--no-binary": ["a,b"]}, []),
        ("--cache-dir /tmp --root-user-action=ignore", {}, []),
        ("--no-deps --target x", {}, ["--no-deps", "--target", "x"]),
    ],
)
def test_options(text: str, found: dict[str, list[str]], unknown: list[str]) -> None:
    assert parse_pip_args(text) == (found, unknown)


@given(st.text(alphabet="-=irfcx '\"\\u", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        parse_pip_args(text)
