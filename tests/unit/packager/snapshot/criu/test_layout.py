"""Spans get ranges of a file that the kernel can map in 2 MiB pieces."""

from itertools import pairwise
from mmap import PAGESIZE as PAGE

from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.snapshot.criu.layout import HUGE, Span, arrange, place

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


@given(st.lists(spans, max_size=30), st.sets(st.integers(0, 29)))
def test_what_is_touched_comes_first(wanted: list[Span], chosen: set[int]) -> None:
    touched = [span for index, span in enumerate(wanted) if index in chosen]
    merged = []
    for span in sorted(touched, key=lambda span: span.start):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(span.end, merged[-1].end))
        else:
            merged.append(span)
    offsets, _ = arrange(wanted, merged)
    is_hot = [
        any(span.start < each.end and each.start < span.end for each in merged) for span in wanted
    ]
    blocks = [
        (offset // HUGE, -(-(offset + span.end - span.start) // HUGE), hot)
        for span, offset, hot in zip(wanted, offsets, is_hot, strict=True)
    ]
    last_hot = max((end for _, end, hot in blocks if hot), default=0)
    assert all(first >= last_hot for first, _, hot in blocks if not hot)
    assert all(
        (offset - span.start) % HUGE == 0 for span, offset in zip(wanted, offsets, strict=True)
    )


def test_small_spans_share_blocks() -> None:
    small = [Span(n * HUGE + n * PAGE, n * HUGE + (n + 1) * PAGE) for n in range(512)]
    assert place(small)[1] == HUGE
