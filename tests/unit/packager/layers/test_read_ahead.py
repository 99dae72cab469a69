import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.layers.read_ahead import read_ahead


@given(st.binary(max_size=10_000), st.lists(st.integers(1, 3000), min_size=1, max_size=30))
def test_the_bytes_are_those_of_the_stream(content: bytes, sizes: list[int]) -> None:
    plain = io.BytesIO(content)
    with read_ahead(io.BytesIO(content)) as stream:
        assert [stream.read(size) for size in sizes] == [plain.read(size) for size in sizes]


class Broken(io.RawIOBase):
    """Ends in an error after some bytes."""

    def __init__(self) -> None:
        self.reads = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.reads += 1
        if self.reads > 1:
            raise ValueError("broken")
        buffer[:3] = b"abc"
        return 3


def test_an_error_comes_after_the_bytes_before_it_and_again() -> None:
    with read_ahead(Broken()) as stream:
        assert stream.read(3) == b"abc"
        for _ in range(2):
            with pytest.raises(ValueError, match="broken"):
                stream.read(1)


def test_nothing_reads_the_stream_afterwards() -> None:
    source = Broken()
    with read_ahead(source) as stream:
        assert stream.read(3) == b"abc"
    reads = source.reads
    assert reads <= 2
    source.close()
    assert source.reads == reads
