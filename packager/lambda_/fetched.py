"""What does not fit into a function and its layers, and is fetched into /tmp before the snapshot.

SnapStart keeps /tmp with the memory, up to 512 MB of it. The largest files go there until the rest
fits; in the layers stand links to them, so that nothing else has to know.

Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import BinaryIO

from bentofn.packager.files import CHUNK
from bentofn.packager.lambda_.rules import MAX_UNZIPPED
from bentofn.runtime.aws_lambda.fetched import PLACE
from bentofn.runtime.errors import UserError

MAX_SCRATCH = 512 << 20
"""Bytes of /tmp with SnapStart."""

SPARED = 32 << 20
"""Bytes of it that are left to the function."""

ROOM = 2 << 20
"""Bytes that the function's own code may grow by before other files are chosen."""

LEVEL = 6


def choose(sizes: Mapping[str, int], code: int) -> frozenset[str]:
    """The files that are fetched; none where all fit.

    Args:
        sizes: Path below ``/opt`` to bytes, of the files of all layers.
        code: Bytes of the function.

    Raises:
        UserError: What would have to be fetched does not fit into /tmp.
    """
    rest = sum(sizes.values()) + max(code, ROOM)
    fetched: set[str] = set()
    for path in sorted(sizes, key=lambda path: (-sizes[path], path)):
        if rest < MAX_UNZIPPED:
            break
        fetched.add(path)
        rest -= sizes[path]
    size = sum(sizes[path] for path in fetched)
    if size > MAX_SCRATCH - SPARED:
        raise UserError(
            f"its files hold {(rest + size) / 1e6:.0f} MB: {size / 1e6:.0f} MB of them would have "
            f"to be fetched into /tmp, where {(MAX_SCRATCH - SPARED) / 1e6:.0f} MB are free; "
            "deploy it as an image."
        )
    return frozenset(fetched)


def target_of(path: str) -> str:
    """Where a file is fetched to, which its link in a layer says.

    Args:
        path: Its path below ``/opt``.
    """
    return f"{PLACE}/{path}"


def deflate(content: BinaryIO, out: BinaryIO) -> None:
    """Compress a file as it is sent: zlib's format, which every Python reads."""
    packer = zlib.compressobj(LEVEL)
    for chunk in _chunks(content):
        out.write(packer.compress(chunk))
    out.write(packer.flush())


def _chunks(content: BinaryIO) -> Iterable[bytes]:
    while chunk := content.read(CHUNK):
        yield chunk
