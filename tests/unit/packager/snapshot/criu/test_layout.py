"""Spans get ranges of a file that the kernel can map in 2 MiB pieces."""

from itertools import pairwise
from mmap import PAGESIZE as PAGE

from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.snapshot.criu.layout import HUGE, Span, place

spans = st.builds(
    lambda first, count: Span(first * PAGE, (first + count) * PAGE),
    st.integers(0, 1 << 30),
    st.integers(1, 2000),
)


@given(st.lists(spans, max_size=30))
def test_ranges_are_congruent_and_apart(wanted: list[Span]) -> None:
    offsets, end = place(wanted)
    ranges = sorted(
        (offset, offset + span.end - span.start)
        for span, offset in zip(wanted, offsets, strict=True)
    )
    assert all(
        (offset - span.start) % HUGE == 0 for span, offset in zip(wanted, offsets, strict=True)
    )
    assert all(first[1] <= second[0] for first, second in pairwise(ranges))
    assert end == max((stop for _, stop in ranges), default=0)


def test_small_spans_share_blocks() -> None:
    small = [Span(n * HUGE + n * PAGE, n * HUGE + (n + 1) * PAGE) for n in range(512)]
    assert place(small)[1] == HUGE
