"""Layers made of a few entries, for tests."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Sequence

import pytest

from bentofn.packager.containerize.blob import Layer, bytes_blob
from bentofn.packager.containerize.media import TAR

MakeLayer = Callable[[Sequence[tarfile.TarInfo]], Layer]


@pytest.fixture(scope="session")
def make_layer() -> MakeLayer:
    """Makes a layer of headers; a file's content is its name in letters."""

    def make(entries: Sequence[tarfile.TarInfo]) -> Layer:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for info in entries:
                data = info.name.encode() if info.isreg() else b""
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        data = buffer.getvalue()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        return Layer(bytes_blob(data, TAR), digest, "a test")

    return make


@pytest.fixture(scope="session")
def entry() -> Callable[..., tarfile.TarInfo]:
    """Makes a header."""

    def make(
        name: str,
        kind: bytes = tarfile.REGTYPE,
        target: str = "",
        mode: int = 0o644,
        owner: int = 0,
    ) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mode = kind, target, mode
        info.uid = info.gid = owner
        return info

    return make
