"""Which files of a bento are fetched into /tmp because a function has no room for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.lambda_.fetched import MAX_SCRATCH, SPARED, choose
from bentofn.packager.lambda_.rules import MAX_UNZIPPED
from bentofn.runtime.errors import UserError

MB = 1_000_000


def test_what_fits_is_not_fetched() -> None:
    assert choose({"a": 100 * MB, "b": 100 * MB}, 1) == frozenset()


def test_the_largest_files_are_fetched_until_the_rest_fits() -> None:
    assert choose({"a": 345 * MB, "b": 90 * MB, "c": 100 * MB}, 1) == {"a"}
    assert choose({"a": 300 * MB, "b": 150 * MB, "c": 130 * MB, "d": 90 * MB}, 1) == {"a", "b"}


def test_more_than_tmp_holds_is_refused() -> None:
    with pytest.raises(UserError, match=r"hold 722 MB: 520 MB of them .* as an image"):
        choose({"a": 520 * MB, "b": 200 * MB}, 1)


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(0, 200 * MB)))
def test_what_is_chosen_fits(sizes: dict[str, int]) -> None:
    try:
        chosen = choose(sizes, 5)
    except UserError:
        assert sum(sizes.values()) > MAX_UNZIPPED
        return
    assert sum(size for path, size in sizes.items() if path not in chosen) < MAX_UNZIPPED
    assert sum(sizes[path] for path in chosen) <= MAX_SCRATCH - SPARED


def test_the_choice_does_not_follow_every_change_of_the_code() -> None:
    sizes = {"a": MAX_UNZIPPED - 3 * MB, "b": 2 * MB}
    assert choose(sizes, 10) == choose(sizes, 1_500_000)
