"""Gzip on several cores."""

import gzip
import os
import random
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentofn.packager.home import Home
from bentofn.packager.layers import LayerFile, LayerLink, put_layer
from bentofn.packager.layers import gzip as gzip_module
from bentofn.packager.layers.gzip import GzipWriter
from bentofn.packager.store import Store


def layer(home: Path) -> Path:
    """A gzip layer of several blocks."""
    chance = random.Random(1)
    words = [chance.randbytes(9) for _ in range(500)]
    files = [
        LayerFile("a/big", b"".join(chance.choices(words, k=400_000))),
        LayerLink("a/link", "big"),
    ]
    store = Store(Home(home))
    made = put_layer(store, files, kind="code", title="code", compression="gzip")
    return store.blob_path(made.digest)


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    blob = layer(tmp_path / "one")
    assert blob.read_bytes() == layer(tmp_path / "other").read_bytes()
    assert blob.read_bytes()[:10] == b"\x1f\x8b\x08" + bytes(6) + b"\xff"


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


def test_other_tools_read_it(tmp_path: Path) -> None:
    blob = layer(tmp_path / "home")
    subprocess.run(["gzip", "--test"], stdin=blob.open("rb"), check=True)
    listing = subprocess.run(
        ["tar", "--gzip", "-tf", blob], capture_output=True, check=True, env=dict(os.environ)
    )
    assert listing.stdout.split() == [b"a/", b"a/big", b"a/link"]
    with tarfile.open(blob) as archive:
        assert archive.getnames() == ["a", "a/big", "a/link"]
