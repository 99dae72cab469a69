"""Layers in frames: any reader of tar and zstd reads them, and each file can be fetched alone."""

import hashlib
import io
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentofn.packager.home import Home
from bentofn.packager.layers import (
    FAST,
    SMALLEST,
    LayerEntry,
    LayerFile,
    LayerLink,
    Packing,
    put_chunked,
    unpack_layer,
    write_chunked,
    write_layer,
)
from bentofn.packager.layers import chunked as chunked_module
from bentofn.packager.layers.chunk import read_chunk
from bentofn.packager.layers.toc import Toc, read_toc, toc_position
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.descriptors import (
    LAYER_DIFF_ID,
    LAYER_TOC_POSITION,
    TOC_CHECKSUM,
    TOC_POSITION,
)
from bentofn.runtime.errors import UserError

TINY = Packing(level=3, frame=700)

names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda name: name not in (".", ".."))


@st.composite
def entries(draw: st.DrawFn) -> list[LayerEntry]:
    found: list[LayerEntry] = []
    for folder in draw(st.sets(names, max_size=4)):
        for name in draw(st.sets(names, max_size=5)):
            if draw(st.integers(0, 4)) == 0:
                found.append(LayerLink(f"{folder}/{name}", draw(names)))
                continue
            size = draw(st.sampled_from([0, 1, 50, 299, 300, 700, 701, 2500]))
            content = random.Random(size).randbytes(size // 2) + bytes(size - size // 2)
            found.append(LayerFile(f"{folder}/{name}", content, draw(st.booleans())))
    return draw(st.permutations(found))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Home(tmp_path / "home"))


@contextmanager
def gathering(size: int) -> Iterator[None]:
    before = chunked_module.GATHERED
    chunked_module.GATHERED = size
    try:
        yield
    finally:
        chunked_module.GATHERED = before


def table(blob: bytes, layer: Descriptor) -> Toc:
    position = toc_position(layer)
    assert position is not None
    offset, length, checksum = position
    return read_toc(blob[offset : offset + length], checksum)


def content_of(blob: bytes, toc: Toc) -> dict[str, bytes]:
    return {
        entry.path: b"".join(read_chunk(blob[c.offset : c.end], c) for c in entry.chunks)
        for entry in toc.entries
        if entry.kind == "file"
    }


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(files=entries(), gather=st.booleans())
def test_every_file_can_be_fetched_alone(files: list[LayerEntry], gather: bool) -> None:
    with tempfile.TemporaryDirectory() as scratch, gathering(300):
        store = Store(Home(Path(scratch) / "home"))
        layer = put_chunked(store, files, kind="env", title="x", packing=TINY, gather=gather)
        blob = store.blob_path(layer.digest).read_bytes()
        toc = table(blob, layer)
        sources = {file.path: file for file in files if isinstance(file, LayerFile)}
        assert content_of(blob, toc) == {path: f.source for path, f in sources.items()}
        for entry in toc.entries:
            if entry.kind == "file":
                digest = hashlib.sha256(bytes(sources[entry.path].source)).hexdigest()
                assert entry.digest == f"sha256:{digest}"
                assert entry.executable == sources[entry.path].executable
        links = {entry.path: entry.target for entry in toc.entries if entry.kind == "link"}
        assert links == {file.path: file.target for file in files if isinstance(file, LayerLink)}
        out = io.BytesIO()
        plain = write_layer(files, out, "none")
        assert layer.annotations[LAYER_DIFF_ID] == plain.diff_id
        assert zstd_reads(blob) == out.getvalue()


def zstd_reads(blob: bytes) -> bytes:
    decompressor = zstandard.ZstdDecompressor()
    return decompressor.stream_reader(io.BytesIO(blob), read_across_frames=True).read()


def test_in_the_layout_of_containers_storage_every_file_starts_a_frame(store: Store) -> None:
    files = [LayerFile(f"a/{index}", b"x" * (index * 100)) for index in range(30)]
    layer = put_chunked(store, files, kind="env", title="x", packing=TINY, gather=False)
    blob = store.blob_path(layer.digest).read_bytes()
    toc = table(blob, layer)
    chunks = [chunk for entry in toc.entries for chunk in entry.chunks]
    assert len({chunk.offset for chunk in chunks}) == len(chunks)
    assert all(
        chunk.inner == 0 and blob[chunk.offset :][:4] == b"\x28\xb5\x2f\xfd" for chunk in chunks
    )
    footer = blob[-64:]
    offset, length, plain, kind = (
        int.from_bytes(footer[i : i + 8], "little") for i in range(0, 32, 8)
    )
    assert layer.annotations[TOC_POSITION] == f"{offset}:{length}:{plain}:{kind}"
    assert footer[-8:] == b"GNUlInUx"
    assert blob[-72:-64] == b"\x50\x2a\x4d\x18\x40\0\0\0"
    digest = hashlib.sha256(blob[offset : offset + length]).hexdigest()
    assert layer.annotations[TOC_CHECKSUM] == f"sha256:{digest}"


def test_small_files_share_frames_under_annotations_that_podman_does_not_know(
    store: Store,
) -> None:
    files = [LayerFile(f"a/{index}", b"words " * 20) for index in range(100)]
    alone = put_chunked(store, files, kind="env", title="x", packing=FAST, gather=False)
    shared = put_chunked(store, files, kind="env", title="x", packing=FAST, gather=True)
    assert TOC_POSITION in alone.annotations
    assert TOC_POSITION not in shared.annotations
    assert LAYER_TOC_POSITION in shared.annotations
    assert shared.size < alone.size / 2
    toc = table(store.blob_path(shared.digest).read_bytes(), shared)
    assert len({chunk.offset for entry in toc.entries for chunk in entry.chunks}) == 1


def big(tmp_path: Path) -> LayerFile:
    chance = random.Random(1)
    words = [chance.randbytes(9) for _ in range(500)]
    path = tmp_path / "big"
    path.write_bytes(b"".join(chance.choices(words, k=700_000)))
    return LayerFile("a/big", path)


def test_the_number_of_cores_does_not_change_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for cores in (1, 3, 16):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        out = io.BytesIO()
        write_chunked([big(tmp_path), LayerFile("b", b"x")], out, FAST, gather=True)
        results.append(out.getvalue())
    assert results[0] == results[1] == results[2]


def test_a_release_is_smaller(tmp_path: Path) -> None:
    sizes = {
        packing.level: write_chunked([big(tmp_path)], io.BytesIO(), packing, gather=True).layer.size
        for packing in (FAST, SMALLEST)
    }
    assert sizes[SMALLEST.level] < sizes[FAST.level]


def test_a_name_that_is_no_unicode_has_no_table_but_is_packed(store: Store, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    files = [LayerFile(name, b"content")]
    layer = put_chunked(store, files, kind="env", title="x", packing=FAST, gather=True)
    assert toc_position(layer) is None
    target = tmp_path / "target"
    target.mkdir()
    unpack_layer(store.blob_path(layer.digest), layer.media_type, layer.digest, target, "")
    assert (target / name).read_bytes() == b"content"


def test_other_tools_read_it(store: Store, tmp_path: Path) -> None:
    files = [big(tmp_path), LayerFile("a/run", b"#!", executable=True), LayerLink("a/l", "big")]
    for gather in (True, False):
        layer = put_chunked(store, files, kind="env", title="x", packing=FAST, gather=gather)
        blob = store.blob_path(layer.digest)
        plain = zstd_reads(blob.read_bytes())
        if shutil.which("zstd"):
            done = subprocess.run(["zstd", "-dc", blob], capture_output=True, check=True)
            assert done.stdout == plain
        target = tmp_path / f"tar-{gather}"
        target.mkdir()
        subprocess.run(["tar", "-xf", "-", "-C", target], input=plain, check=True)
        assert (target / "a/l").read_bytes() == (tmp_path / "big").read_bytes()
        assert os.access(target / "a/run", os.X_OK)
        with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
            assert archive.getnames() == ["a", "a/big", "a/l", "a/run"]


def test_a_file_that_cannot_be_read_leaves_nothing(store: Store, tmp_path: Path) -> None:
    files = [big(tmp_path), LayerFile("z", tmp_path / "gone")]
    with pytest.raises(UserError, match="gone"):
        put_chunked(store, files, kind="env", title="x", packing=FAST, gather=False)
    assert list(store.blobs.directory.iterdir()) == []
