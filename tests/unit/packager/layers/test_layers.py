import gzip
import hashlib
import io
import os
import random
import stat
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
    Compression,
    LayerEntry,
    LayerFile,
    LayerLink,
    collect_tree,
    put_layer,
    unpack_layer,
    write_layer,
)
from bentofn.packager.layers import tar as tar_module
from bentofn.packager.layers.put import MEDIA_TYPES
from bentofn.packager.layers.stream import DamagedLayer
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError

PREFIX = "opt/bento/src"

# What a tree is: path to content and executability, or to the target of a link.
Tree = dict[str, tuple[bytes, bool] | str]

names = st.one_of(
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
    ).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200),
    st.text("ab", min_size=101, max_size=180),
)
contents = st.tuples(st.binary(max_size=300), st.booleans())


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    tree: Tree = {}
    for parts in draw(st.lists(st.lists(names, min_size=1, max_size=4), max_size=8)):
        path = "/".join(parts)
        clash = any(f"{known}/".startswith(f"{path}/") for known in tree)
        clash = clash or any(path.startswith(f"{known}/") for known in tree)
        if clash:
            continue
        if draw(st.booleans()):
            tree[path] = draw(contents)
        else:
            tree[path] = "../" * draw(st.integers(0, len(parts) - 1)) + draw(names)
    return tree


def write_tree(root: Path, tree: Tree, seed: int = 0) -> None:
    items = list(tree.items())
    chance = random.Random(seed)
    chance.shuffle(items)
    for path, value in items:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(value, str):
            target.symlink_to(value)
            continue
        content, executable = value
        target.write_bytes(content)
        target.chmod(chance.choice([0o700, 0o755, 0o777] if executable else [0o600, 0o640, 0o666]))
        os.utime(target, (chance.randint(1, 2**31), chance.randint(1, 2**31)))


def read_tree(root: Path) -> Tree:
    tree: Tree = {}
    for entry in collect_tree(root, "x"):
        path = entry.path.removeprefix("x/")
        if isinstance(entry, LayerLink):
            tree[path] = entry.target
        else:
            tree[path] = (Path(str(entry.source)).read_bytes(), entry.executable)
    return tree


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def pack(files: list[LayerEntry], compression: Compression = "none") -> bytes:
    out = io.BytesIO()
    write_layer(files, out, compression)
    return out.getvalue()


def unpack(data: bytes, target: Path, media_type: str = MEDIA_TYPES["none"]) -> None:
    blob = target.parent / "blob"
    blob.write_bytes(data)
    target.mkdir(exist_ok=True)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    unpack_layer(blob, media_type, digest, target, PREFIX)


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees(), compression=st.sampled_from(["zstd", "gzip", "none"]), mask=st.integers(0, 63))
def test_what_goes_in_comes_out(tree: Tree, compression: Compression, mask: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        first, second, target = (Path(scratch) / name for name in ("first", "second", "target"))
        first.mkdir()
        second.mkdir()
        write_tree(first, tree, 1)
        with umask(mask):
            write_tree(second, tree, 2)
        one = pack(list(collect_tree(first, PREFIX)), compression)
        two = pack(sorted(collect_tree(second, PREFIX), key=hash), compression)
        assert one == two
        with umask(mask):
            unpack(one, target, MEDIA_TYPES[compression])
        assert read_tree(target) == tree
        modes = {stat.S_IMODE(path.lstat().st_mode) for path in target.rglob("*")}
        assert modes <= {0o644, 0o755, 0o777}


def test_names_that_are_no_unicode_survive(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    name = os.fsdecode(b"caf\xe9" + b"x" * 120)
    (source / name).write_bytes(b"content")
    unpack(pack(list(collect_tree(source, PREFIX))), target)
    assert read_tree(target) == {name: (b"content", False)}


def test_entries_are_sorted_and_anonymous() -> None:
    files: list[LayerEntry] = [
        LayerFile("b/run", b"#!", executable=True),
        LayerFile("a/x/y", b"1"),
        LayerLink("b/link", "run"),
    ]
    with tarfile.open(fileobj=io.BytesIO(pack(files))) as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == ["a", "a/x", "a/x/y", "b", "b/link", "b/run"]
    assert [oct(m.mode) for m in members if not m.issym()] == [
        "0o755",
        "0o755",
        "0o644",
        "0o755",
        "0o755",
    ]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert not any(m.pax_headers for m in members)


def test_digests_are_those_of_the_bytes() -> None:
    files = [LayerFile("a", b"content" * 1000)]
    out = io.BytesIO()
    digests = write_layer(files, out, "gzip")
    assert digests.digest == f"sha256:{hashlib.sha256(out.getvalue()).hexdigest()}"
    assert digests.size == len(out.getvalue())
    plain = gzip.decompress(out.getvalue())
    assert digests.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    assert out.getvalue()[4:8] == bytes(4)


def test_the_number_of_threads_does_not_change_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(1)
    words = [chance.randbytes(9) for _ in range(500)]
    big = tmp_path / "big"
    big.write_bytes(b"".join(chance.choices(words, k=2_000_000)))
    many = pack([LayerFile("a", big)], "zstd")
    assert many == pack([LayerFile("a", big.read_bytes())], "zstd")
    monkeypatch.setattr(tar_module, "ZSTD_THREADS", 1)
    assert many == pack([LayerFile("a", big)], "zstd")


def test_other_tools_read_a_layer(tmp_path: Path) -> None:
    store = Store(Home(tmp_path / "home"))
    files: list[LayerEntry] = [LayerFile("opt/é" + "x" * 150, b"long"), LayerLink("opt/l", "x")]
    options: dict[Compression, str] = {"gzip": "--gzip", "none": "--no-auto-compress"}
    for compression, option in options.items():
        layer = put_layer(store, files, kind="code", title="code", compression=compression)
        listing = subprocess.run(
            ["tar", option, "-tf", store.blob_path(layer.digest)],
            capture_output=True,
            check=True,
            env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
        )
        assert listing.stdout.count(b"\n") == 3


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a/", "../a", "a/../b", "./a", "a\0b"])
def test_a_path_that_leaves_the_layer_is_not_written(path: str) -> None:
    with pytest.raises(ValueError):
        pack([LayerFile(path, b"")])


@pytest.mark.parametrize("target", ["", "/etc/passwd", "../../x", "a/../../..", "a/.."])
def test_a_link_that_leaves_the_layer_is_not_written(target: str) -> None:
    with pytest.raises(ValueError):
        pack([LayerLink("a/b", target)])


def test_a_path_has_one_meaning() -> None:
    with pytest.raises(ValueError, match="twice"):
        pack([LayerFile("a", b""), LayerFile("a", b"")])
    with pytest.raises(ValueError, match="both"):
        pack([LayerFile("a", b""), LayerFile("a/b", b"")])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone"):
        pack([LayerFile("a", tmp_path / "gone")])


def test_a_failed_layer_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    store = Store(Home(tmp_path / "home"))
    with pytest.raises(UserError):
        put_layer(store, [LayerFile("a", tmp_path / "gone")], kind="code", title="x")
    assert list(store.blobs.directory.iterdir()) == []


@pytest.mark.parametrize("target", ["/etc", "../outside", "x/.."])
def test_collecting_refuses_links_that_lead_out(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(UserError, match="link"):
        list(collect_tree(tmp_path, PREFIX))


def test_collecting_refuses_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe"):
        list(collect_tree(tmp_path, PREFIX))


@pytest.mark.parametrize(
    "members",
    [
        [(member("../evil"), b"x")],
        [(member("/evil"), b"x")],
        [(member(f"{PREFIX}/../evil"), b"x")],
        [(member("opt/other/evil"), b"x")],
        [(member("opt"), b"x")],
        [(member(f"{PREFIX}/dev", tarfile.CHRTYPE), b"")],
        [(member(f"{PREFIX}/pipe", tarfile.FIFOTYPE), b"")],
        [(member(f"{PREFIX}/a"), b"x"), (member(f"{PREFIX}/b", tarfile.LNKTYPE, "/etc/x"), b"")],
        [(member(f"{PREFIX}/l", tarfile.SYMTYPE, "/etc"), b"")],
        [(member(f"{PREFIX}/l", tarfile.SYMTYPE, "../x"), b"")],
        [(member(f"{PREFIX}/l", tarfile.SYMTYPE, "a/../../x"), b"")],
        [
            (member(f"{PREFIX}/d", tarfile.DIRTYPE), b""),
            (member(f"{PREFIX}/l", tarfile.SYMTYPE, "d"), b""),
            (member(f"{PREFIX}/l/evil"), b"x"),
        ],
        [(member(f"{PREFIX}/a"), b"x"), (member(f"{PREFIX}/a/b"), b"x")],
        [(member(f"{PREFIX}/d/x"), b"x"), (member(f"{PREFIX}/d"), b"x")],
        [(member(f"{PREFIX}/a"), b"x"), (member(f"{PREFIX}/a"), b"y")],
        [(member(f"{PREFIX}/a"), b"x"), (member(f"{PREFIX}/a", tarfile.SYMTYPE, "b"), b"")],
    ],
)
def test_an_unsafe_archive_is_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    with pytest.raises(UserError, match="not safe"):
        unpack(archive(*members), target)
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}
    assert {path.name for path in target.parent.iterdir()} == {"target", "blob"}
    assert not (target / "d" / "evil").exists()


def test_a_later_layer_replaces_files_but_follows_no_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    unpack(pack([LayerLink(f"{PREFIX}/a", "b"), LayerFile(f"{PREFIX}/b", b"old")]), target)
    unpack(pack([LayerFile(f"{PREFIX}/a", b"new")]), target)
    assert read_tree(target) == {"a": (b"new", False), "b": (b"old", False)}


@settings(max_examples=60)
@given(data=st.data(), compression=st.sampled_from(["zstd", "gzip", "none"]))
def test_a_damaged_layer_is_noticed(data: st.DataObject, compression: Compression) -> None:
    whole = pack([LayerFile(f"{PREFIX}/a", b"0123456789" * 50)], compression)
    position = data.draw(st.integers(0, len(whole) - 1))
    change = data.draw(st.sampled_from(["cut", "flip", "append"]))
    if change == "cut":
        damaged = whole[:position]
    elif change == "flip":
        flipped = bytes([whole[position] ^ data.draw(st.integers(1, 255))])
        damaged = whole[:position] + flipped + whole[position + 1 :]
    else:
        damaged = whole + b"x"
    digest = f"sha256:{hashlib.sha256(whole).hexdigest()}"
    with tempfile.TemporaryDirectory() as scratch:
        blob, target = Path(scratch) / "blob", Path(scratch) / "target"
        blob.write_bytes(damaged)
        target.mkdir()
        with pytest.raises(DamagedLayer):
            unpack_layer(blob, MEDIA_TYPES[compression], digest, target, PREFIX)


def test_a_missing_layer_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(DamagedLayer):
        unpack_layer(tmp_path / "x", MEDIA_TYPES["none"], "sha256:" + "0" * 64, tmp_path, PREFIX)


def test_zstd_can_read_it() -> None:
    data = pack([LayerFile("a", b"content")], "zstd")
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as stream:
        content = io.BytesIO(stream.read())
    with tarfile.open(fileobj=content) as tar:
        assert tar.getnames() == ["a"]
