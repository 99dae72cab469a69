import gzip
import hashlib
import os
import random
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentofn.packager.home import Home
from bentofn.packager.layers import Compression, LayerEntry, LayerFile, LayerLink, put_layer
from bentofn.packager.layers import gzip as gzip_module
from bentofn.packager.layers.gzip import GzipWriter
from bentofn.packager.layers.recompress import recompress
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.descriptors import LAYER_DIFF_ID, TITLE, TOC_CHECKSUM, TOC_POSITION
from bentofn.runtime.errors import UserError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Home(tmp_path / "home"))


def content() -> bytes:
    chance = random.Random(1)
    words = [chance.randbytes(9) for _ in range(500)]
    return b"".join(chance.choices(words, k=400_000))


def layer(store: Store) -> Descriptor:
    files: list[LayerEntry] = [LayerFile("a/big", content()), LayerLink("a/link", "big")]
    return put_layer(store, files, kind="code", title="code")


def plain_digest(store: Store, made: Descriptor) -> str:
    data = store.blob_path(made.digest).read_bytes()
    plain = gzip.decompress(data) if made.media_type.endswith("gzip") else data
    return f"sha256:{hashlib.sha256(plain).hexdigest()}"


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_the_archive_stays_the_same(store: Store, compression: Compression) -> None:
    source = layer(store)
    made = recompress(store, source, compression)
    assert made.media_type.endswith("gzip" if compression == "gzip" else "tar")
    assert made.annotations == source.annotations
    assert plain_digest(store, made) == source.annotations[LAYER_DIFF_ID]
    assert recompress(store, made, "zstd").digest == source.digest


def test_the_same_layer_gives_the_same_bytes(store: Store, tmp_path: Path) -> None:
    other = Store(Home(tmp_path / "other"))
    first = recompress(store, layer(store), "gzip")
    assert first == recompress(other, layer(other), "gzip")
    assert store.blob_path(first.digest).read_bytes()[:10] == b"\x1f\x8b\x08" + bytes(6) + b"\xff"


def test_a_layer_is_recompressed_once(store: Store) -> None:
    source = layer(store)
    first = recompress(store, source, "gzip")
    store.blobs.remove(source.digest)
    renamed = Descriptor(source.media_type, source.digest, source.size, {TITLE: "other"})
    again = recompress(store, renamed, "gzip")
    assert (again.digest, again.annotations[TITLE]) == (first.digest, "other")


def test_what_it_is_already_and_what_no_longer_holds(store: Store) -> None:
    source = layer(store)
    assert recompress(store, source, "zstd") is source
    annotations = {**source.annotations, TOC_POSITION: "1:2:3:1", TOC_CHECKSUM: "x"}
    chunked = Descriptor(source.media_type, source.digest, source.size, annotations)
    assert recompress(store, chunked, "gzip").annotations == source.annotations


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_layer_is_refused_and_leaves_nothing(store: Store, damage: str) -> None:
    source = layer(store)
    blob = store.blob_path(source.digest)
    data = bytearray(blob.read_bytes())
    blob.unlink()
    if damage == "flip":
        data[len(data) // 2] ^= 1
    if damage != "gone":
        blob.write_bytes(data[:-10] if damage == "cut" else data)
    with pytest.raises(UserError, match=r"code.*damaged or missing.*again"):
        recompress(store, source, "gzip")
    assert [path for path in store.blobs.directory.iterdir() if path != blob] == []


@settings(max_examples=30)
@given(pieces=st.lists(st.binary(max_size=400), max_size=30))
def test_gzip_on_several_cores_is_gzip(
    pieces: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("gzip") / "data.gz"
    before = gzip_module._BLOCK
    gzip_module._BLOCK = 512
    try:
        with path.open("wb") as out, GzipWriter(out) as writer:
            for piece in pieces:
                writer.write(piece)
    finally:
        gzip_module._BLOCK = before
    assert gzip.decompress(path.read_bytes()) == b"".join(pieces)


def test_other_tools_read_it(store: Store) -> None:
    made = recompress(store, layer(store), "gzip")
    blob = store.blob_path(made.digest)
    subprocess.run(["gzip", "--test"], stdin=blob.open("rb"), check=True)
    listing = subprocess.run(
        ["tar", "--gzip", "-tf", blob], capture_output=True, check=True, env=dict(os.environ)
    )
    assert listing.stdout.split() == [b"a/", b"a/big", b"a/link"]
    with tarfile.open(blob) as archive:
        assert archive.getnames() == ["a", "a/big", "a/link"]
