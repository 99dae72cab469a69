"""What of a trace goes into the pack, and which parts of models are better fetched as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from bentofn.packager.parts import ModelLayer
from bentofn.packager.prefetch.trace import PAGE, HotFile, Range, Trace, runs

NEARLY_ALL = 0.8
"""Share of a part's bytes that are hot from which on the part is fetched as it is: weights hardly
compress, and what came in the pack would come again with the rest."""


def choose(
    trace: Trace, packable: Collection[str], parts: Mapping[str, Sequence[ModelLayer]]
) -> Trace:
    """Decide what is packed.

    Args:
        trace: What was asked for.
        packable: Paths of the files that arrive late.
        parts: Those of them that are weights, by path, with their parts in order.
    """
    early: set[str] = set()
    files = []
    for file in trace.files:
        if file.path not in packable:
            files.append(file)
            continue
        whole = [part for part in parts.get(file.path, ()) if _is_hot(file, part)]
        early.update(part.blob.digest for part in whole)
        files.append(replace(file, packed=_without(file, whole)))
    return replace(trace, files=tuple(files), early=tuple(sorted(early)))


def _is_hot(file: HotFile, part: ModelLayer) -> bool:
    start, end = part.offset, part.offset + part.blob.size
    hot = sum(max(0, min(end, offset + size) - max(start, offset)) for offset, size in file.ranges)
    return hot >= NEARLY_ALL * part.blob.size


def _without(file: HotFile, parts: Sequence[ModelLayer]) -> tuple[Range, ...]:
    """The hot pages of a file that are not wholly in some of its parts."""
    spans: list[list[int]] = []
    for part in parts:
        end = part.offset + part.blob.size
        if spans and spans[-1][1] == part.offset:
            spans[-1][1] = end
        else:
            spans.append([part.offset, end])
    pages = {
        page
        for offset, size in file.ranges
        for page in range(offset // PAGE, -(-(offset + size) // PAGE))
    }
    for start, end in spans:
        # The file's last page is cut, and so is inside if the file's end is.
        last = end // PAGE if end < file.size else -(-end // PAGE)
        pages.difference_update(range(-(-start // PAGE), last))
    return runs(pages, file.size)
