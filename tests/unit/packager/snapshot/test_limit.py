from __future__ import annotations

import pytest

from bentofn.packager.snapshot.limit import DEFAULT, size_limit
from bentofn.runtime.errors import UserError


@pytest.mark.parametrize(
    ("text", "size"),
    [("", DEFAULT), ("0", 0), ("1.5GiB", 3 << 29), ("2 gb", 2 * 10**9), ("512", 512)],
)
def test_a_size_is_written_as_people_do(text: str, size: int) -> None:
    assert size_limit({"BENTOFN_SNAPSHOTS_MAX": text}) == size


@pytest.mark.parametrize("text", ["much", "-1", "1XB", "1e400GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no size"):
        size_limit({"BENTOFN_SNAPSHOTS_MAX": text})
