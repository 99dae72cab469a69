import base64
import hashlib
import io
import json
from pathlib import Path

import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.home import Home
from bentofn.packager.layers import (
    FAST,
    LayerEntry,
    LayerFile,
    LayerLink,
    Packing,
    put_chunked,
    write_layer,
)
from bentofn.packager.layers.tarsplit import crc64
from bentofn.packager.store import Store
from bentofn.packager.store.descriptors import TAR_SPLIT_POSITION, TOC_POSITION


def byte_by_byte(data: bytes) -> int:
    """CRC-64/GO-ISO as https://pkg.go.dev/hash/crc64 defines it."""
    value = (1 << 64) - 1
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xD8 << 56 if value & 1 else 0)
    return value ^ (1 << 64) - 1


def test_the_catalogue_s_check_value() -> None:
    assert crc64(b"123456789") == 0xB90956C775A41001


@given(data=st.binary(max_size=700), cut=st.integers(0, 700))
def test_the_checksum_is_that_of_the_definition(data: bytes, cut: int) -> None:
    assert crc64(data) == byte_by_byte(data)
    assert crc64(data[cut:], crc64(data[:cut])) == crc64(data)


def test_an_archive_is_put_together_from_its_files(tmp_path: Path) -> None:
    store = Store(Home(tmp_path / "home"))
    contents = {f"a/{size}": bytes([7]) * size for size in (0, 1, 511, 512, 513, 5000)}
    contents[f"{'x' * 120}/{'é' * 60}"] = b"long"
    files: list[LayerEntry] = [LayerFile(path, data) for path, data in contents.items()]
    files.append(LayerLink("a/link", "1"))
    layer = put_chunked(
        store, files, kind="env", title="x", packing=Packing(FAST.level, 1000), gather=False
    )
    blob = store.blob_path(layer.digest).read_bytes()
    offset, length, plain = map(int, layer.annotations[TAR_SPLIT_POSITION].split(":"))
    packed = blob[offset : offset + length]
    lines = zstandard.ZstdDecompressor().decompress(packed).splitlines()
    assert sum(len(line) + 1 for line in lines) == plain
    archive = b""
    for position, line in enumerate(lines):
        entry = json.loads(line)
        assert entry["position"] == position
        payload = base64.b64decode(entry["payload"] or "")
        if entry["type"] == 2:
            archive += payload
        elif entry["size"]:
            assert payload == crc64(contents[entry["name"]]).to_bytes(8, "big")
            archive += contents[entry["name"]]
    out = io.BytesIO()
    write_layer(files, out, "none")
    assert archive == out.getvalue()
    start, size, *_ = map(int, layer.annotations[TOC_POSITION].split(":"))
    table = json.loads(zstandard.ZstdDecompressor().decompress(blob[start : start + size]))
    assert table["tarSplitDigest"] == f"sha256:{hashlib.sha256(packed).hexdigest()}"
