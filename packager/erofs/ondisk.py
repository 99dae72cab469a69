"""What an EROFS image is made of, byte by byte: superblock, inodes, directory blocks.

Uncompressed, blocks of 4096 bytes, little-endian; the features that every kernel since 5.4 has.
Source: https://erofs.docs.kernel.org/en/latest/core_ondisk.html and the kernel's
fs/erofs/erofs_fs.h.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BLOCK = 4096
"""Bytes of a block."""
SLOT = 32
"""Inodes start at multiples of this, from the start of the metadata; an inode's number is which."""
NAME_MAX = 255
"""Bytes of the longest name."""
TARGET_MAX = 4095
"""Bytes of the longest target of a symbolic link."""

SUPERBLOCK_OFFSET = 1024
MAGIC = 0xE0F5E1E2

_BLOCK_BITS = 12
_SUPERBLOCK = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQ24x")
_COMPACT = struct.Struct("<HHHHI4xIIHH4x")
_EXTENDED = struct.Struct("<HHH2xQIIIIQII16x")
_DIRENT = struct.Struct("<QHBx")
_FEATURE_CHECKSUM = 1
_PLAIN, _INLINE = 0, 2
_TYPES = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFLNK: 7}
_CRC32C = 0x82F63B78


@dataclass(frozen=True)
class Inode:
    """A file, directory or link.

    Args:
        mode: Its type and permissions.
        size: Bytes of its content.
        links: How many names it has; of a directory, 2 and one for each directory in it.
        block: The first block of its content, as far as that is in blocks.
        tail: Bytes of its content that follow the inode in the same block: what is left after the
            last whole block.
    """

    mode: int
    size: int
    links: int = 1
    block: int = 0
    tail: int = 0

    @property
    def header(self) -> int:
        """Bytes of the inode itself."""
        compact = self.size < 1 << 32 and self.links < 1 << 16
        return _COMPACT.size if compact else _EXTENDED.size

    @property
    def extent(self) -> int:
        """Bytes of the inode and its tail, which may not cross the end of a block."""
        return self.header + self.tail

    def encode(self, number: int) -> bytes:
        """The inode's bytes, without its tail; ``number`` is what 32-bit programs see."""
        extended = self.header == _EXTENDED.size
        layout = (_INLINE if self.tail else _PLAIN) << 1 | extended
        if extended:
            return _EXTENDED.pack(
                layout, 0, self.mode, self.size, self.block, number, 0, 0, 0, 0, self.links
            )
        return _COMPACT.pack(layout, 0, self.mode, self.links, self.size, self.block, number, 0, 0)


@dataclass(frozen=True)
class Name:
    """A name in a directory.

    Args:
        name: The name, as bytes.
        slot: The number of its inode.
        mode: The inode's mode, of which the type is noted.
    """

    name: bytes
    slot: int
    mode: int


def fits_inline(size: int) -> bool:
    """Whether content of so many bytes fits beside any inode into one block."""
    return 0 < size <= BLOCK - _EXTENDED.size


def directory_size(names: Sequence[bytes]) -> int:
    """Bytes of the directory with these names, sorted, ``.`` and ``..`` among them."""
    blocks = [*_blocks(names)]
    return (len(blocks) - 1) * BLOCK + sum(_DIRENT.size + len(name) for name in blocks[-1])


def encode_directory(entries: Sequence[Name]) -> bytes:
    """A directory's content; the entries are sorted by name, ``.`` and ``..`` among them."""
    blocks = []
    rest = iter(entries)
    for names in _blocks([entry.name for entry in entries]):
        offset = _DIRENT.size * len(names)
        dirents = b""
        for name in names:
            entry = next(rest)
            dirents += _DIRENT.pack(entry.slot, offset, _TYPES[stat.S_IFMT(entry.mode)])
            offset += len(name)
        blocks.append(dirents + b"".join(names))
    return b"".join(block.ljust(BLOCK, b"\0") for block in blocks[:-1]) + blocks[-1]


def encode_superblock(root: int, inodes: int, blocks: int, metadata: int) -> bytes:
    """The first block of an image, with its checksum.

    Args:
        root: Number of the root's inode.
        inodes: How many there are.
        blocks: Blocks of the image.
        metadata: The block at which inode numbers start.
    """

    def encode(checksum: int) -> bytes:
        fields = _SUPERBLOCK.pack(
            MAGIC, checksum, _FEATURE_CHECKSUM, _BLOCK_BITS, 0, root, inodes, 0, 0, blocks,
            metadata, 0, bytes(16), bytes(16), 0, 0, 0, 0, 0, 0, 0, 0,
        )  # fmt: skip
        return fields + bytes(BLOCK - SUPERBLOCK_OFFSET - len(fields))

    return bytes(SUPERBLOCK_OFFSET) + encode(_crc32c(encode(0)))


def check_superblock(block: bytes, size: int) -> bool:
    """Whether the first block of an image is whole, and so is the image by its size.

    Args:
        block: The first 4096 bytes.
        size: Bytes of the image.
    """
    if len(block) != BLOCK:
        return False
    content = block[SUPERBLOCK_OFFSET:]
    magic, checksum = struct.unpack_from("<II", content)
    blocks = int(_SUPERBLOCK.unpack_from(content)[9])
    unsigned = content[:4] + bytes(4) + content[8:]
    return magic == MAGIC and checksum == _crc32c(unsigned) and size == blocks * BLOCK


def _blocks(names: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Names as they stand together in blocks."""
    block: list[bytes] = []
    used = 0
    for name in names:
        size = _DIRENT.size + len(name)
        if used + size > BLOCK:
            yield block
            block, used = [], 0
        block.append(name)
        used += size
    yield block


def _crc32c(data: bytes) -> int:
    """The Castagnoli checksum as the kernel leaves it: not inverted at the end."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CRC32C if crc & 1 else 0)
    return crc
