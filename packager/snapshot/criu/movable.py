"""Which mappings of a process may become mappings of a file of ours, and how they change."""

from __future__ import annotations

from dataclasses import replace

from bentofn.packager.snapshot.criu.images import Vma
from bentofn.packager.snapshot.criu.layout import HUGE

REGULAR, HEAP, FILE_PRIVATE, ANONYMOUS_PRIVATE = 1 << 0, 1 << 5, 1 << 6, 1 << 9
"""Bits of ``Vma.status`` of the mappings that we move. The stack, the vdso and its data, and what
is shared have others, and stay as they are."""

MAP_PRIVATE, MAP_ANONYMOUS, MAP_GROWSDOWN = 0x2, 0x20, 0x100
MAP_LOCKED, MAP_HUGETLB = 0x2000, 0x40000
"""Bits of ``Vma.flags``. Source: mmap(2)."""

DONTFORK, HUGEPAGE, NOHUGEPAGE, DONTDUMP = 10, 14, 15, 16
"""Advice that holds for mappings of files too; bits of ``Vma.madv``. Source: madvise(2)."""

_KEPT_ADVICE = 1 << DONTFORK | 1 << HUGEPAGE | 1 << NOHUGEPAGE | 1 << DONTDUMP


def is_anonymous(vma: Vma) -> bool:
    """Whether a mapping is private memory without a file."""
    return vma.status & ~HEAP == REGULAR | ANONYMOUS_PRIVATE


def is_file(vma: Vma) -> bool:
    """Whether a mapping is a private one of a file."""
    return vma.status == REGULAR | FILE_PRIVATE


def can_move(vma: Vma) -> bool:
    """Whether a mapping behaves the same when it maps a file that holds its pages."""
    return (
        (is_anonymous(vma) or is_file(vma))
        and bool(vma.flags & MAP_PRIVATE)
        and not vma.flags & (MAP_GROWSDOWN | MAP_LOCKED | MAP_HUGETLB)
        and not (vma.madv or 0) & ~_KEPT_ADVICE
        and not vma.rest
    )


def moved(vma: Vma, file_id: int, offset: int) -> Vma:
    """The entry of a mapping whose pages stand at ``offset`` bytes in the file ``file_id``."""
    status = vma.status & ~(ANONYMOUS_PRIVATE | HEAP) | FILE_PRIVATE
    flags = vma.flags & ~MAP_ANONYMOUS
    madv = vma.madv or None
    return replace(
        vma, shmid=file_id, pgoff=offset, flags=flags, status=status, fd=-1, madv=madv, fdflags=0
    )


def joined(vmas: list[Vma]) -> list[Vma]:
    """Mappings with neighbours that continue them made one, and told to use 2 MiB pages."""
    result: list[Vma] = []
    for vma in vmas:
        if result and replace(result[-1], start=vma.start, end=vma.end, pgoff=vma.pgoff) == vma:
            last = result[-1]
            if last.end == vma.start and last.pgoff + last.end - last.start == vma.pgoff:
                result[-1] = replace(last, end=vma.end)
                continue
        result.append(vma)
    return result


def with_huge_pages(vma: Vma) -> Vma:
    """The entry with the advice to map 2 MiB at once, if there are any and nobody forbade it."""
    advice = vma.madv or 0
    if advice & 1 << NOHUGEPAGE or -(-vma.start // HUGE) * HUGE + HUGE > vma.end:
        return vma
    return replace(vma, madv=advice | 1 << HUGEPAGE)
