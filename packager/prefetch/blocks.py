"""Blocks of weights: digests of pieces of a blob that has only one digest of its own.

A blob of weights is checked as a whole, so a page that is not in the pack would cost all of it. The
list says the digest of each block too, so that a block is enough. Whoever wrote the list is trusted
for them until the whole blob is here, as for the pages of the pack.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bentofn.packager.layers.chunk import MAX_CHUNK, Chunk
from bentofn.packager.store import Descriptor
from bentofn.packager.store.descriptors import check_digest
from bentofn.runtime.errors import UserError

SMALLEST = 64 << 10
"""Bytes of a block of a small model."""

MOST = 8192
"""Blocks that the weights of a bento have before they grow, so that the list stays short."""


@dataclass(frozen=True)
class Blocks:
    """The blocks of a bento's weights.

    Args:
        size: Bytes of each, but the last of a blob.
        digests: Digest of a blob to those of its blocks, ``sha256:HEX``.
    """

    size: int
    digests: Mapping[str, tuple[str, ...]]

    def chunks(self, blob: Descriptor) -> tuple[Chunk, ...]:
        """The blocks of a blob; none if they are not known.

        Raises:
            UserError: They are not as many as the blob has.
        """
        digests = self.digests.get(blob.digest, ())
        if digests and len(digests) != -(-blob.size // self.size):
            raise UserError(f"The list of what to fetch first has not all blocks of {blob.digest}.")
        starts = [index * self.size for index in range(len(digests))]
        ends = [min(start + self.size, blob.size) for start in starts]
        return tuple(
            Chunk(start, end - start, start, end, digest)
            for start, end, digest in zip(starts, ends, digests, strict=True)
        )

    def to_plain(self) -> dict[str, Any]:
        """The blocks as JSON can hold them."""
        return {"size": self.size, "digests": {k: list(v) for k, v in self.digests.items()}}

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any]) -> Blocks:
        """Read what :meth:`to_plain` gave.

        Raises:
            ValueError: It says what cannot be.
            UserError: A digest is none.
        """
        size = raw["size"]
        if not isinstance(size, int) or not SMALLEST <= size <= MAX_CHUNK or size % SMALLEST:
            raise ValueError(f"its blocks have {str(size)[:40]} bytes")
        digests = {
            check_digest(blob): tuple(check_digest(str(digest)) for digest in blocks)
            for blob, blocks in raw["digests"].items()
        }
        return cls(size, digests)


NO_BLOCKS = Blocks(SMALLEST, {})


def cut_blocks(blobs: Mapping[str, int], read: Callable[[str, int, int], bytes]) -> Blocks:
    """Compute the digests of blocks.

    Args:
        blobs: Digest of each blob to its bytes.
        read: Reads bytes of a blob: its digest, an offset and how many.
    """
    size = SMALLEST
    while sum(blobs.values()) > size * MOST and size < MAX_CHUNK:
        size *= 2

    def digests(blob: str, total: int) -> Iterator[str]:
        for start in range(0, total, size):
            data = read(blob, start, min(size, total - start))
            yield f"sha256:{hashlib.sha256(data).hexdigest()}"

    return Blocks(size, {blob: tuple(digests(blob, blobs[blob])) for blob in sorted(blobs)})


def check_block(data: bytes, block: Chunk) -> bytes:
    """Give the bytes of a block back.

    Raises:
        UserError: They are others than its digest says.
    """
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != block.digest:
        raise UserError(
            f"A piece of weights is damaged: the {len(data)} bytes at {block.offset} are others "
            f"than {block.digest} says; fetch them again, or pull or build the bento again."
        )
    return data
