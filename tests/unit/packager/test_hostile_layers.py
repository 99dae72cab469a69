"""A bento from anywhere whose layers are not what they should be: refused, and nothing is left."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest
import zstandard

from bentofn.packager.archive import export_bento, import_bento
from bentofn.packager.home import Home, leftovers
from bentofn.packager.inspect import inspect
from bentofn.packager.layers import FAST, LayerFile, put_chunked, put_layer, stream
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.roots.standing import root_path
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import (
    LAYER_KIND,
    LAYER_TOC_CHECKSUM,
    LAYER_TOC_POSITION,
    TITLE,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
ENV = "opt/bento/env"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def archive(*members: tuple[str, bytes, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = 1 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"x"))
    return out.getvalue()


def bomb() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(f"{ENV}/zeros")
        info.size = 9 << 20
        tar.addfile(info, io.BytesIO(bytes(9 << 20)))
    return out.getvalue()


def bento(home: Home, plain: bytes) -> Entry:
    store = Store(home)
    data = zstandard.ZstdCompressor().compress(plain)
    blob = store.put_bytes(data, ZSTD)
    env = Descriptor(ZSTD, blob.digest, blob.size, {TITLE: "packages", LAYER_KIND: "env"})
    return add(store, env)


def add(store: Store, env: Descriptor) -> Entry:
    rest = [
        put_layer(
            store,
            [LayerFile("opt/bento/runtime/bentofn/__init__.py", b"")],
            kind="runtime",
            title="runtime",
        ),
        put_layer(store, [LayerFile("opt/bento/src/s.py", b"")], kind="code", title="code"),
    ]
    manifest = BentoManifest("evil", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    return store.add_bento(manifest, [env, *rest], NOW)


FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    ("plain", "why"),
    [
        (archive((f"{ENV}/../../../../evil", FILE, "")), "leaves the layer"),
        (archive(("/evil", FILE, "")), "leaves the layer"),
        (archive(("etc/evil", FILE, "")), "is outside"),
        (archive((f"{ENV}/link", LINK, "/etc")), "links out"),
        (archive((f"{ENV}/link", LINK, "../../evil")), "links out"),
        (archive((f"{ENV}/a", FILE, ""), (f"{ENV}/b", HARD, f"{ENV}/a")), "neither"),
        (archive((f"{ENV}/null", tarfile.CHRTYPE, "")), "neither"),
        (archive((f"{ENV}/disk", tarfile.BLKTYPE, "")), "neither"),
        (archive((f"{ENV}/pipe", tarfile.FIFOTYPE, "")), "neither"),
        (archive((f"{ENV}/a", FILE, ""), (f"{ENV}/a", FILE, "")), "twice"),
        (archive((f"{ENV}/l", LINK, "x"), (f"{ENV}/l/evil", FILE, "")), "something else"),
        (archive(*((f"{ENV}/{index}", FILE, "") for index in range(60))), "entries"),
        (bomb(), "hold more"),
    ],
)
def test_an_unsafe_layer_is_refused_and_leaves_nothing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: bytes, why: str
) -> None:
    monkeypatch.setattr(stream, "MAX_ENTRIES", 50)
    monkeypatch.setattr(stream, "PLAIN_FREE", 1 << 20)
    entry = bento(home, plain)
    with pytest.raises(UserError, match=f"not safe to unpack.*{why}.*") as refused:
        materialise(home, entry)
    assert "\n" not in str(refused.value)
    assert not root_path(home, entry).exists()
    assert leftovers(home) == []
    assert not list(tmp_path.rglob("evil"))
    assert Store(home).get("bento", "evil:1") == entry


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.8])
def test_a_truncated_layer_in_a_file_is_refused_and_nothing_is_added(
    home: Home, tmp_path: Path, cut: float
) -> None:
    entry = bento(home, archive((f"{ENV}/a", FILE, "")))
    exported = tmp_path / "evil.tar"
    export_bento(Store(home), entry.tag, exported)
    data = exported.read_bytes()
    exported.write_bytes(data[: int(len(data) * cut)])
    other = Store(Home(tmp_path / "other"))
    with pytest.raises(UserError, match=r"evil\.tar is (damaged|not a bento)"):
        import_bento(other, exported)
    assert (other.list("bento"), list(other.blobs.directory.iterdir())) == ([], [])


def lie(digest: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda annotations: {**annotations, LAYER_TOC_CHECKSUM: digest}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lie("sha256:" + "0" * 64), "damaged"),
        (lie("md5:0"), "not safe"),
        (lambda old: {**old, LAYER_TOC_POSITION: "0:20:20:1"}, "damaged"),
        (lambda old: {**old, LAYER_TOC_POSITION: "0:99999999:1:1"}, "not safe"),
    ],
)
def test_a_layer_whose_table_lies_is_refused(
    home: Home, change: Callable[[dict[str, str]], dict[str, str]], why: str
) -> None:
    store = Store(home)
    files = [LayerFile(f"{ENV}/a-1.dist-info/METADATA", b"Name: a")]
    env = put_chunked(store, files, kind="env", title="env", packing=FAST, gather=True)
    lying = Descriptor(env.media_type, env.digest, env.size, change(dict(env.annotations)))
    entry = add(store, lying)
    with pytest.raises(UserError, match=f"table of contents.*{why}"):
        inspect(store, entry)
