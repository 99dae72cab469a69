"""Where mappings stand in a file so that the kernel can map it in 2 MiB pieces."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from mmap import PAGESIZE

HUGE = 2 << 20
"""Bytes that one entry of the second-lowest page table maps, where pages have 4 KiB."""

_PAGES = HUGE // PAGESIZE


@dataclass(frozen=True)
class Span:
    """A range of addresses, in bytes, at page borders."""

    start: int
    end: int


@dataclass(frozen=True)
class Placed:
    """A range of addresses whose content stands at ``offset`` bytes in a file."""

    start: int
    end: int
    offset: int


def arrange(spans: Sequence[Span], touched: Sequence[Span]) -> tuple[list[int], int]:
    """Give spans ranges of a file: first those of which most is touched, last those of which none.

    Args:
        spans: Addresses.
        touched: Addresses that a start touches, sorted and apart.

    Returns:
        As of :func:`place`.
    """
    shares = [_touched(span, touched) / (span.end - span.start) for span in spans]
    # Among equals the largest first: the small ones fill the blocks that those leave half empty.
    order = sorted(
        range(len(spans)), key=lambda i: (-shares[i], spans[i].start - spans[i].end, spans[i].start)
    )
    offsets, floor = [0] * len(spans), 0
    for chosen in ([i for i in order if shares[i]], [i for i in order if not shares[i]]):
        places, end = place([spans[i] for i in chosen])
        for i, place_ in zip(chosen, places, strict=True):
            offsets[i] = floor + place_
        floor += -(-end // HUGE) * HUGE
    return offsets, floor


def _touched(span: Span, touched: Sequence[Span]) -> int:
    """Bytes of a span that are touched."""
    index = max(0, bisect_right(touched, span.start, key=lambda each: each.start) - 1)
    total = 0
    for each in touched[index:]:
        if each.start >= span.end:
            break
        total += max(0, min(each.end, span.end) - max(each.start, span.start))
    return total


def place(spans: Iterable[Span]) -> tuple[list[int], int]:
    """Give each span a range of a file, none over another, in the first room that it fits.

    A range begins as far behind a multiple of 2 MiB as its span does: only then can 2 MiB of the
    page cache be mapped at once. Spans that leave parts of their first or last 2 MiB free share
    them, so that the file holds few blocks.

    Args:
        spans: Addresses; the earlier ones come first in the file.

    Returns:
        The offset of each span, and the end of the last range; bytes.
    """
    taken: list[int] = []
    offsets = []
    end = 0
    for span in spans:
        masks = _masks(span)
        block = 0
        while any(mask & held for mask, held in zip(masks, taken[block:], strict=False)):
            block += 1
        taken += [0] * (block + len(masks) - len(taken))
        for index, mask in enumerate(masks, block):
            taken[index] |= mask
        offset = block * HUGE + span.start % HUGE
        offsets.append(offset)
        end = max(end, offset + span.end - span.start)
    return offsets, end


def _masks(span: Span) -> list[int]:
    first = span.start % HUGE // PAGESIZE
    last = first + (span.end - span.start) // PAGESIZE
    return [
        (1 << min(last - block, _PAGES)) - (1 << max(first - block, 0))
        for block in range(0, last, _PAGES)
    ]
