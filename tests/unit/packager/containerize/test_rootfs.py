"""What layers make of a directory, beside what their headers say."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentofn.packager.containerize.blob import Layer
from bentofn.packager.containerize.rootfs import unpack_image
from bentofn.packager.containerize.tree import read_tree
from bentofn.packager.files import temporary_directory
from bentofn.runtime.errors import UserError

MakeLayer = Callable[[Sequence[tarfile.TarInfo]], Layer]
Entry = Callable[..., tarfile.TarInfo]

DIR, LINK, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners are only set by root")


def unpack(folder: Path, *layers: Layer) -> Path:
    root = folder / "root"
    root.mkdir()
    unpack_image(layers, root, "base")
    return root


def listed(root: Path) -> dict[str, str]:
    """Path to what is there, no link followed."""
    found = {}
    for here, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(here) / name
            kind = "link" if path.is_symlink() else "dir" if path.is_dir() else "file"
            found[str(path.relative_to(root))] = kind
    return found


def test_links_are_followed_inside_the_root_only(
    tmp_path: Path, make_layer: MakeLayer, entry: Entry
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    layer = make_layer(
        [
            entry("usr/bin", DIR, mode=0o755),
            entry("bin", LINK, "usr/bin"),
            entry("bin/sh", mode=0o755),
            entry("etc", LINK, str(outside)),
            entry("etc/passwd"),
            entry("up", LINK, "../../../../outside"),
            entry("up/file"),
        ]
    )
    root = unpack(tmp_path, layer)
    assert (root / "usr/bin/sh").is_file()
    assert not list(outside.iterdir())
    assert (root / str(outside).lstrip("/") / "passwd").read_text() == "etc/passwd"
    assert (root / "outside/file").is_file()


def test_whiteouts_owners_and_hard_links(
    tmp_path: Path, make_layer: MakeLayer, entry: Entry
) -> None:
    lower = make_layer(
        [entry("a", mode=0o4755, owner=7), entry("b", HARD, "a"), entry("d/x"), entry("o/old")]
    )
    upper = make_layer(
        [
            entry(".wh.a"),
            entry("d/.wh.x"),
            entry("o/new"),
            entry("o/.wh..wh..opq"),
            entry("l", LINK, "b"),
        ]
    )
    root = unpack(tmp_path, lower, upper)
    assert set(listed(root)) == {"b", "d", "l", "o", "o/new"}
    status = (root / "b").stat()
    assert (status.st_mode & 0o7777, status.st_uid) == (0o4755, 7)


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [("../out", b"0", ""), ("a/../../out", b"0", ""), ("h", HARD, "../../etc/passwd"),
     ("h", HARD, "missing"), (".wh...", b"0", ""), ("d/.wh..", b"0", "")],
)  # fmt: skip
def test_what_leaves_the_root_is_refused(
    tmp_path: Path, make_layer: MakeLayer, entry: Entry, name: str, kind: bytes, target: str
) -> None:
    with pytest.raises(UserError, match="not safe"):
        unpack(tmp_path, make_layer([entry("d", DIR), entry(name, kind, target)]))


def test_devices_are_left_out(tmp_path: Path, make_layer: MakeLayer, entry: Entry) -> None:
    layer = make_layer([entry("dev/sda", tarfile.BLKTYPE), entry("pipe", tarfile.FIFOTYPE)])
    assert set(listed(unpack(tmp_path, layer))) == {"dev"}


NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
ENTRIES = st.one_of(
    st.tuples(NAMES, st.just(tarfile.REGTYPE), st.just("")),
    st.tuples(NAMES, st.just(DIR), st.just("")),
    st.tuples(NAMES, st.just(LINK), st.sampled_from(["a", "/b", "../c", "b/c", "/"])),
    st.tuples(NAMES.map(lambda n: f"{n}/.wh.a"), st.just(tarfile.REGTYPE), st.just("")),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layers=st.lists(st.lists(ENTRIES, max_size=6), max_size=3))
def test_the_headers_tell_what_unpacking_makes(
    tmp_path: Path, make_layer: MakeLayer, entry: Entry, layers: list[list[tuple[str, bytes, str]]]
) -> None:
    made = [make_layer([entry(*each) for each in layer]) for layer in layers]
    with temporary_directory(tmp_path) as folder:
        try:
            found = listed(unpack(folder, *made))
        except UserError:
            return  # links that go in rings
    told = {path: node.kind for path, node in read_tree(made, "base").nodes.items()}
    assert told == found
