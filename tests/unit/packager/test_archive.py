"""A bento as one file: it comes back whole, or nothing of it does."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from bentofn.packager.archive import export_bento, import_bento
from bentofn.packager.arrival import MAX_LAYERS
from bentofn.packager.arriving_referrers import Read
from bentofn.packager.home import Home, leftovers
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.modelstore import import_model, model_layers
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import BENTO_ARTIFACT, BENTO_CONFIG
from bentofn.packager.store.referrers import (
    Referrer,
    put_referrer,
    referrers,
    subject_descriptor,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
Members = list[tuple[tarfile.TarInfo, bytes]]


def build(store: Store, code: bytes = b"code") -> Entry:
    (folder := store.home.path / "source").mkdir(exist_ok=True)
    save_file({"a": np.ones(8)}, folder / "model.safetensors")
    model = import_model(store, folder, "words", "1")
    layers = [
        put_layer(store, [LayerFile("opt/bento/env/a", b"a" * 9999)], kind="env", title="packages"),
        *model_layers(store, model),
        put_layer(store, [LayerFile("opt/bento/src/s.py", code)], kind="code", title="code"),
    ]
    contract = ServiceContract("g", "s:G")
    return store.add_bento(BentoManifest("g", "1", contract, "3.11", "linux"), layers, NOW)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(Home(tmp_path_factory.mktemp("source") / "home"))
    build(store)
    return store


@pytest.fixture(scope="module")
def exported(source: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("exported") / "g.tar"
    export_bento(source, "g:1", target)
    return target


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Home(tmp_path / "home"))


def untouched(store: Store) -> bool:
    return (
        store.list("bento") == []
        and list(store.blobs.directory.iterdir()) == []
        and leftovers(store.home) == []
    )


def members(path: Path) -> Members:
    with tarfile.open(path) as archive:
        return [(m, f.read() if (f := archive.extractfile(m)) else b"") for m in archive]


def write(path: Path, content: Members) -> Path:
    with tarfile.open(path, "w") as archive:
        for info, data in content:
            archive.addfile(info, io.BytesIO(data))
    return path


def test_a_bento_comes_back_with_its_model(source: Store, exported: Path, store: Store) -> None:
    entry = import_bento(store, exported)
    original = source.get("bento", "g:1")
    assert (entry.tag, entry.digest, entry.size) == (original.tag, original.digest, original.size)
    assert store.bento(entry) == source.bento(original)
    for layer in store.layers(entry):
        assert store.blob_path(layer.digest).read_bytes() == (
            source.blob_path(layer.digest).read_bytes()
        )
    assert "model" in {layer.kind for layer in store.layers(entry)}


def test_the_same_bento_gives_the_same_file(source: Store, exported: Path, tmp_path: Path) -> None:
    export_bento(source, "g", tmp_path / "deep" / "again.tar")
    assert (tmp_path / "deep" / "again.tar").read_bytes() == exported.read_bytes()
    other = Store(Home(tmp_path / "other"))
    import_bento(other, exported)
    export_bento(other, "g", tmp_path / "other.tar")
    assert (tmp_path / "other.tar").read_bytes() == exported.read_bytes()


def test_a_second_import_changes_nothing(exported: Path, store: Store) -> None:
    first = import_bento(store, exported)
    index = (store.path / "index.json").read_bytes()
    assert import_bento(store, exported) == first
    assert (store.path / "index.json").read_bytes() == index


def test_a_damaged_blob_of_the_store_is_mended(exported: Path, store: Store) -> None:
    entry = import_bento(store, exported)
    blob = store.blob_path(store.layers(entry)[0].digest)
    blob.chmod(0o644)
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1])
    import_bento(store, exported)
    assert blob.read_bytes() == whole


def test_another_bento_of_the_same_name_is_not_lost(exported: Path, store: Store) -> None:
    mine = build(store, b"mine")
    with pytest.raises(UserError, match="bentofn delete g:1"):
        import_bento(store, exported)
    assert store.get("bento", "g:1") == mine


def test_a_file_that_is_there_is_not_replaced_unless_forced(source: Store, tmp_path: Path) -> None:
    (target := tmp_path / "g.tar").write_bytes(b"mine")
    with pytest.raises(UserError, match="--force"):
        export_bento(source, "g", target)
    assert target.read_bytes() == b"mine"
    export_bento(source, "g", target, force=True)
    assert tarfile.is_tarfile(target)


def test_a_damaged_bento_is_not_exported(exported: Path, store: Store, tmp_path: Path) -> None:
    entry = import_bento(store, exported)
    for layer, damage in zip(store.layers(entry), (b"x", None, b"y" * 100_000), strict=False):
        blob = store.blob_path(layer.digest)
        blob.unlink()
        if damage is not None:
            blob.write_bytes(damage)
        with pytest.raises(UserError, match="damaged or missing"):
            export_bento(store, "g", tmp_path / "out.tar")
        assert list(tmp_path.glob("*tar*")) == []
        import_bento(store, exported)


def renamed(name: str) -> Callable[[Members], None]:
    def change(content: Members) -> None:
        content[-1][0].name = name

    return change


def linked(kind: bytes) -> Callable[[Members], None]:
    def change(content: Members) -> None:
        info = content[-1][0]
        info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    return change


def edited(content: Members, name: str, edit: Callable[[dict[str, object]], None]) -> None:
    """Change a JSON document of an archive."""
    for position, (info, data) in enumerate(content):
        if info.name == name:
            document = json.loads(data)
            edit(document)
            data = json.dumps(document).encode()
            info.size = len(data)
            content[position] = (info, data)


def two_bentos(content: Members) -> None:
    edited(content, "index.json", lambda index: index.update(manifests=index["manifests"] * 2))  # type: ignore[operator]


def flipped(content: Members) -> None:
    info, data = content[-1]
    content[-1] = (info, bytes([data[0] ^ 1]) + data[1:])


def shorter(content: Members) -> None:
    info, data = content[-1]
    info.size -= 1
    content[-1] = (info, data[:-1])


def bomb(content: Members) -> None:
    for number in range(2 * MAX_LAYERS):
        content.append((tarfile.TarInfo(f"blobs/sha256/{number:064x}"), b""))


def huge_name(content: Members) -> None:
    content[-1][0].name = "blobs/" + "x" * (2 << 20)


def extra_blob(content: Members) -> None:
    content.append((tarfile.TarInfo(f"blobs/sha256/{'0' * 64}"), b""))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renamed("../../escape"), "has no place"),
        (renamed("/etc/cron.d/x"), "has no place"),
        (renamed("blobs/sha256/../../../x"), "has no place"),
        (linked(tarfile.SYMTYPE), "not a plain file"),
        (linked(tarfile.LNKTYPE), "not a plain file"),
        (linked(tarfile.FIFOTYPE), "not a plain file"),
        (linked(tarfile.CHRTYPE), "not a plain file"),
        (lambda content: content.append(content[-1]), "twice"),
        (lambda content: content.append(content[1]), "twice"),
        (lambda content: content.pop(), "not in it"),
        (lambda content: content.pop(0), "no OCI layout"),
        (lambda content: content.pop(1), "no OCI layout"),
        (two_bentos, "no OCI layout with one bento"),
        (lambda c: edited(c, "index.json", lambda i: i.update(x="y" * (2 << 20))), "too large"),
        (flipped, "are others"),
        (shorter, "another size"),
        (extra_blob, "nothing names"),
        (bomb, "too many entries"),
        (huge_name, "damaged"),
    ],
)
def test_a_bad_archive_leaves_the_store_as_it_was(
    exported: Path, store: Store, tmp_path: Path, change: Callable[[Members], None], said: str
) -> None:
    content = members(exported)
    change(content)
    bad = write(tmp_path / "bad.tar", content)
    with pytest.raises(UserError, match=said):
        import_bento(store, bad)
    assert untouched(store)


def test_another_artifact_is_refused(store: Store, tmp_path: Path, exported: Path) -> None:
    other = Store(Home(tmp_path / "other"))
    config = other.put_bytes(b"{}", BENTO_CONFIG)
    layer = other.put_bytes(b"", "text/plain")
    for artifact in (BENTO_ARTIFACT, "application/vnd.other"):
        manifest = other.put_manifest(artifact, config, [layer])
        content = members(exported)[:4]
        descriptor = manifest.to_json()
        edited(content, "index.json", lambda i, d=descriptor: i.update(manifests=[d]))  # type: ignore[misc]
        for digest in (manifest.digest, config.digest, layer.digest):
            info = tarfile.TarInfo(f"blobs/sha256/{digest.removeprefix('sha256:')}")
            data = other.blob_path(digest).read_bytes()
            info.size = len(data)
            content.append((info, data))
        with pytest.raises(UserError, match=r"else than a bento|without a readable|schema"):
            import_bento(store, write(tmp_path / "bad.tar", content))
        assert untouched(store)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_refused_in_a_sentence_or_harmless(
    exported: Path, source: Store, tmp_path: Path, data: st.DataObject
) -> None:
    whole = exported.read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        # Headers and JSON stand at the front; most of the rest is a layer.
        at = data.draw(st.integers(0, min(len(whole), 8192) - 1) | st.integers(0, len(whole) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.just(len(whole)) | st.integers(0, len(whole))) :]
    path = tmp_path / "damaged.tar"
    path.write_bytes(damaged)
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    store = Store(Home(tmp_path / "home"))
    try:
        entry = import_bento(store, path)
    except UserError:
        assert untouched(store)
    else:
        assert entry.digest == source.get("bento", "g").digest


@settings(max_examples=100)
@given(content=st.binary(max_size=2048))
def test_any_bytes_are_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "any.tar").write_bytes(content)
    with pytest.raises(UserError, match=r"any\.tar"):
        import_bento(Store(Home(folder / "home")), folder / "any.tar")


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_skopeo_reads_it_and_what_skopeo_writes_comes_back(
    exported: Path, source: Store, store: Store, tmp_path: Path
) -> None:
    def copy(origin: str, target: str) -> None:
        command = ["skopeo", "--insecure-policy", "copy", origin, target]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    copy(f"oci-archive:{exported}:g:1", f"oci:{tmp_path}/layout:g")
    index = json.loads((tmp_path / "layout" / "index.json").read_bytes())
    assert index["manifests"][0]["digest"] == source.get("bento", "g").digest
    copy(f"oci:{tmp_path}/layout:g", f"oci-archive:{tmp_path}/back.tar:g:1")
    assert import_bento(store, tmp_path / "back.tar").digest == index["manifests"][0]["digest"]


def annotated(store: Store) -> Entry:
    entry = build(store)
    for text in ("one", "two"):
        blob = store.put_bytes(text.encode(), "text/plain")
        put_referrer(store, subject_descriptor(entry), "text/note", [blob])
    return entry


def test_what_refers_to_a_bento_goes_along(store: Store, tmp_path: Path) -> None:
    entry = annotated(store)
    export_bento(store, "g", tmp_path / "g.tar")
    index = next(data for info, data in members(tmp_path / "g.tar") if info.name == "index.json")
    first, *others = json.loads(index)["manifests"]
    assert first["digest"] == entry.digest
    assert {raw["artifactType"] for raw in others} == {"text/note"}
    other = Store(Home(tmp_path / "other"))
    import_bento(other, tmp_path / "g.tar")
    found = {each.layers[0].digest for each in referrers(other, entry.digest)}
    assert found == {each.layers[0].digest for each in referrers(store, entry.digest)}
    assert {other.blob_path(digest).read_bytes() for digest in found} == {b"one", b"two"}
    export_bento(other, "g", tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "g.tar").read_bytes()


def point(content: Members, old: str, digest: str, size: int) -> None:
    """Let the index name another manifest in place of one."""

    def edit(index: dict[str, Any]) -> None:
        for raw in index["manifests"]:
            if raw["digest"] == old:
                raw.update(digest=digest, size=size)

    edited(content, "index.json", edit)


def test_what_refers_to_something_else_is_refused(store: Store, tmp_path: Path) -> None:
    annotated(store)
    export_bento(store, "g", tmp_path / "g.tar")
    content = members(tmp_path / "g.tar")
    for position, (info, data) in enumerate(content):
        if b'"subject"' in data:
            changed = json.loads(data)
            changed["subject"]["digest"] = f"sha256:{'0' * 64}"
            name = hashlib.sha256(raw := json.dumps(changed).encode()).hexdigest()
            old, info.name, info.size = info.name, f"blobs/sha256/{name}", len(raw)
            content[position] = (info, raw)
            point(content, f"sha256:{old[13:]}", f"sha256:{name}", len(raw))
            break
    other = Store(Home(tmp_path / "other"))
    with pytest.raises(UserError, match="none that could"):
        import_bento(other, write(tmp_path / "bad.tar", content))
    assert untouched(other)


def test_a_check_refuses_before_anything_is_stored(store: Store, tmp_path: Path) -> None:
    annotated(store)
    export_bento(store, "g", tmp_path / "g.tar")
    other = Store(Home(tmp_path / "other"))

    def check(manifest: Descriptor, found: Sequence[Referrer], read: Read) -> frozenset[str]:
        assert {read(each.layers[0]) for each in found} == {b"one", b"two"}
        raise UserError("not signed")

    with pytest.raises(UserError, match="not signed"):
        import_bento(other, tmp_path / "g.tar", check)
    assert untouched(other)
