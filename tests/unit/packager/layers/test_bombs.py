"""Layers that were made to fill a disk or the memory are refused in a sentence."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
import zstandard

from bentofn.packager.layers import stream, unpack_layer
from bentofn.packager.layers.put import MEDIA_TYPES
from bentofn.packager.layers.stream import DamagedLayer, read_members
from bentofn.runtime.errors import UserError


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PLAIN_FREE", 4 << 20)
    monkeypatch.setattr(stream, "MAX_ENTRIES", 1000)


def archive(size: int = 0, files: int = 1, header: int = 0) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for index in range(files):
            info = tarfile.TarInfo(f"x/{index}")
            info.size = size
            if header:
                info.pax_headers = {"comment": "x" * header}
            tar.addfile(info, io.BytesIO(bytes(size)))
    return out.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize("kind", ["zstd", "gzip"])
@pytest.mark.parametrize("bomb", ["zeros", "entries"])
def test_a_bomb_is_refused(tmp_path: Path, kind: str, bomb: str) -> None:
    plain = archive(size=64 << 20) if bomb == "zeros" else archive(files=1001)
    packed = zstandard.ZstdCompressor().compress(plain) if kind == "zstd" else gzip.compress(plain)
    blob, target = tmp_path / "blob", tmp_path / "target"
    blob.write_bytes(packed)
    target.mkdir()
    media_type = MEDIA_TYPES["zstd" if kind == "zstd" else "gzip"]
    with pytest.raises(UserError, match=r"not safe to unpack.*do not use it"):
        unpack_layer(blob, media_type, digest(packed), target, "")
    with pytest.raises(UserError, match="not safe to unpack"):
        list(read_members(blob, media_type, digest(packed)))
    assert sum(path.stat().st_size for path in target.rglob("*")) <= 20 << 20


def test_a_header_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(archive(header=2 << 20))
    with pytest.raises(DamagedLayer, match="header"):
        list(read_members(blob, MEDIA_TYPES["none"], digest(blob.read_bytes())))


def test_a_window_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, compression_level=1)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = compressor.compress(archive()) + compressor.flush()
    blob = tmp_path / "blob"
    blob.write_bytes(packed)
    with pytest.raises(DamagedLayer):
        list(read_members(blob, MEDIA_TYPES["zstd"], digest(packed)))
