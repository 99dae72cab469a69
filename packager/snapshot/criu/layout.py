"""Where mappings stand in a file so that the kernel can map it in 2 MiB pieces."""

from __future__ import annotations

from collections.abc import Iterable
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
    bits = ((1 << (span.end - span.start) // PAGESIZE) - 1) << first
    blocks = -(-bits.bit_length() // _PAGES)
    return [bits >> (index * _PAGES) & ((1 << _PAGES) - 1) for index in range(blocks)]
