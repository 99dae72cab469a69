import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentofn.packager.erofs.ondisk import BLOCK, check_superblock
from bentofn.packager.erofs.writer import ImageWriter
from bentofn.packager.layers import LayerEntry, LayerFile, LayerLink
from bentofn.packager.layers.stream import DamagedLayer
from bentofn.packager.layers.tar import write_layer
from bentofn.packager.layers.unpack import read_layer, unpack_layer
from bentofn.runtime.errors import UserError

from .conftest import Listing, listing

TAR = "application/vnd.oci.image.layer.v1.tar"

Layers = list[list[LayerEntry]]

needs_fsck = pytest.mark.skipif(
    shutil.which("fsck.erofs") is None, reason="fsck.erofs (erofs-utils) is missing"
)


def write(folder: Path, layers: Layers) -> tuple[Path, Path]:
    """Layers as an image, and unpacked."""
    image, unpacked = folder / "image", folder / "unpacked"
    unpacked.mkdir()
    with image.open("w+b") as out:
        writer = ImageWriter(out)
        for number, entries in enumerate(layers):
            blob = folder / f"{number}.tar"
            with blob.open("wb") as file:
                digest = write_layer(entries, file, "none").digest
            unpack_layer(blob, TAR, digest, unpacked, "opt")
            read_layer(blob, TAR, digest, "opt", writer)
        writer.finish()
    return image, unpacked


def file(path: str, size: int, executable: bool = False) -> LayerFile:
    content = (path.encode() * (size // len(path.encode()) + 1))[:size]
    return LayerFile(f"opt/{path}", content, executable)


EDGES = (0, 1, 31, 32, 4000, 4031, 4032, 4033, 4064, 4095, 4096, 4097, 8192, 123_456)
TREE: list[LayerEntry] = [
    *(file(f"sizes/{size}", size, executable=size % 2 == 0) for size in EDGES),
    *(file(f"many/file number {n}", n % 7) for n in range(3000)),
    *(file(f"nested/{n}/x", 5) for n in range(300)),
    file("/".join(["deep"] * 60), 10),
    file(f"long/{'x' * 255}", 10),
    file("odd/!bang", 1),
    file("odd/-dash", 1),
    file("odd/ünï 日本 🙂", 3),
    file("odd/new\nline", 3),
    LayerLink("opt/odd/link", "../sizes/0"),
    LayerLink("opt/odd/nowhere", "a/" * 2000 + "b"),
    LayerLink("opt/odd/longest", "c" * 4095),
]


@needs_fsck
def test_the_kernel_and_fsck_take_it_and_show_what_was_unpacked(
    tmp_path: Path, mounted: Callable[[Path, Path], Listing]
) -> None:
    image, unpacked = write(tmp_path, [TREE[:-1]])
    checked = subprocess.run(["fsck.erofs", image], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    target = tmp_path / "target"
    target.mkdir()
    assert mounted(image, target) == listing(unpacked)


names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=80
).filter(lambda name: name not in (".", "..") and len(os.fsencode(name)) <= 255)
sizes = st.one_of(st.integers(0, 64), st.integers(3900, 4300), st.integers(0, 40_000))
paths = st.lists(names, min_size=1, max_size=6).map("/".join)


@st.composite
def layers(draw: st.DrawFn) -> Layers:
    """Layers of which later ones replace files of earlier ones."""
    chosen = draw(st.lists(paths, max_size=40, unique=True))
    folders = {
        "/".join(path.split("/")[:depth])
        for path in chosen
        for depth in range(1, path.count("/") + 1)
    }
    leaves = [path for path in chosen if path not in folders]
    found: Layers = []
    for _ in range(draw(st.integers(1, 3))):
        entries: list[LayerEntry] = []
        for path in leaves:
            kind = draw(st.sampled_from(["absent", "link", "file", "file"]))
            if kind == "file":
                entries.append(file(path, draw(sizes), draw(st.booleans())))
            elif kind == "link":
                entries.append(LayerLink(f"opt/{path}", draw(names)))
        found.append(entries)
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layers())
def test_any_tree_looks_mounted_as_it_does_unpacked(
    mounted: Callable[[Path, Path], Listing], layers: Layers
) -> None:
    with TemporaryDirectory() as folder:
        image, unpacked = write(Path(folder), layers)
        (Path(folder) / "target").mkdir()
        assert mounted(image, Path(folder) / "target") == listing(unpacked)
        assert check_superblock(image.read_bytes()[:BLOCK], image.stat().st_size)


def image_of(entries: Iterable[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    writer = ImageWriter(out)
    for path, content in entries:
        writer.file((path,), io.BytesIO(content), len(content), False)
    writer.finish()
    return out.getvalue()


def test_the_same_entries_give_the_same_bytes() -> None:
    entries = [("a", b"x" * 5000), ("b", b"y")]
    assert image_of(entries) == image_of(entries)
    assert len(image_of(entries)) % BLOCK == 0


def test_an_image_that_is_not_whole_is_noticed() -> None:
    image = image_of([("a", b"x" * 5000)])
    assert check_superblock(image[:BLOCK], len(image))
    assert not check_superblock(image[:BLOCK], len(image) - BLOCK)
    assert not check_superblock(image[:100], len(image))
    assert not check_superblock(bytes(BLOCK), len(image))
    for position in (1024, 1100, 2000):
        damaged = bytearray(image[:BLOCK])
        damaged[position] ^= 1
        assert not check_superblock(bytes(damaged), len(image))


def test_what_no_image_can_hold_is_refused() -> None:
    writer = ImageWriter(io.BytesIO())
    writer.directory(("folder",))
    with pytest.raises(UserError, match="name that is too long"):
        writer.file(("x" * 256,), io.BytesIO(), 0, False)
    with pytest.raises(UserError, match="too long"):
        writer.link(("x",), "y" * 4096)
    with pytest.raises(UserError, match="replaces a folder"):
        writer.file(("folder",), io.BytesIO(), 0, False)
    writer.file(("file",), io.BytesIO(), 0, False)
    with pytest.raises(UserError, match="something else before"):
        writer.directory(("file",))
    for size in (10, 10_000):
        with pytest.raises(DamagedLayer):
            writer.file(("short",), io.BytesIO(b"short"), size, False)
