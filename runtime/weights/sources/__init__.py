"""Where weights come from: a disk, a web server, S3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.sources.base import Source
from bentofn.runtime.weights.sources.files import FileSource


def open_source(filename: str | os.PathLike[str]) -> Source:
    """Open a file by its path, or by its URL (``http://``, ``https://``, ``s3://``).

    Raises:
        UserError: It cannot be read, or is no whole safetensors file.
    """
    name = os.fspath(filename)
    if name.startswith(("http://", "https://")):
        from bentofn.runtime.weights.sources.http import HttpSource

        return HttpSource(name)
    if name.startswith("s3://"):
        from bentofn.runtime.weights.sources.s3 import S3Source

        return S3Source(name)
    scheme, is_url, _ = name.partition("://")
    if is_url:
        raise UserError(
            f"Weights are read from files, http://, https:// and s3://, not from {scheme}://."
        )
    return FileSource(name)


@contextmanager
def opened(filename: str | os.PathLike[str]) -> Iterator[Source]:
    """Have a file open; failures as :func:`open_source`."""
    source = open_source(filename)
    try:
        yield source
    finally:
        source.close()
