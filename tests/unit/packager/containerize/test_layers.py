"""A bento's layers as those of an image."""

from __future__ import annotations

import io
import tarfile
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from bentofn.packager.containerize.bento_layers import image_layers
from bentofn.packager.containerize.facts import Facts
from bentofn.packager.containerize.gzipped import gzip_layer
from bentofn.packager.containerize.media import TAR, TAR_GZIP
from bentofn.packager.containerize.own_layers import user_layer
from bentofn.packager.containerize.tree import read_entries
from bentofn.packager.home import Home
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.modelstore import export_model, import_model, model_layers
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.descriptors import LAYER_KIND
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Home(tmp_path / "home"))


@pytest.fixture
def bento(tmp_path: Path, store: Store) -> Entry:
    (tmp_path / "model").mkdir()
    tensors = {f"layer.{n}.weight": np.arange(n, n + 900_000.0) for n in range(3)}
    save_file(tensors, tmp_path / "model" / "model.safetensors")
    (tmp_path / "model" / "vocab.txt").write_text("words")
    model = import_model(store, tmp_path / "model", "words", "1")
    layers = [
        put_layer(store, [LayerFile("opt/bento/env/a.py", b"env")], kind="env", title="packages"),
        *model_layers(store, model),
        put_layer(store, [LayerFile("opt/bento/src/s.py", b"code")], kind="code", title="code"),
    ]
    manifest = BentoManifest("greeter", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    return store.add_bento(manifest, layers, datetime(2026, 1, 1, tzinfo=timezone.utc))


def test_the_parts_of_a_model_file_become_one_file_in_a_layer_of_its_own(
    tmp_path: Path, store: Store, bento: Entry
) -> None:
    descriptors = store.descriptors(bento)
    assert sum(d.annotations[LAYER_KIND] == "model" for d in descriptors) > 3
    layers = list(image_layers(store.home, store, descriptors))
    [weights] = [layer for layer in layers if layer.created_by.endswith("model.safetensors")]
    data = weights.blob.read()
    assert weights.blob.descriptor.media_type == TAR
    assert len(data) == weights.blob.descriptor.size
    export_model(store, "words:1", tmp_path / "out")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        *folders, file = archive.getmembers()
        content = archive.extractfile(file)
        assert content is not None
        assert content.read() == (tmp_path / "out" / "model.safetensors").read_bytes()
    assert file.name == "opt/bento/models/words/1/model.safetensors"
    base = "opt/bento/models/words/1"
    assert [folder.name for folder in folders] == [
        "/".join(base.split("/")[:length]) for length in range(1, 6)
    ]
    assert not list((store.path / "blobs").rglob(weights.diff_id[7:])), "weights stand there twice"


def test_a_damaged_part_is_found_before_the_last_byte(store: Store, bento: Entry) -> None:
    part = max(store.descriptors(bento), key=lambda each: each.size)
    path = store.blob_path(part.digest)
    path.chmod(0o600)
    path.write_bytes(bytes(part.size))
    with pytest.raises(UserError, match="is damaged"):
        list(image_layers(store.home, store, store.descriptors(bento)))


def test_gzip_holds_the_same_archive(store: Store, bento: Entry) -> None:
    for layer in image_layers(store.home, store, store.descriptors(bento)):
        zipped = gzip_layer(store.home, store, layer)
        assert zipped.blob.descriptor.media_type == TAR_GZIP
        assert zipped.diff_id == layer.diff_id
        plain, packed = (
            [(i.name, i.size) for i, _ in read_entries(x, "x")] for x in (layer, zipped)
        )
        assert plain == packed


def test_the_user_is_added_to_those_of_the_base() -> None:
    facts = Facts("/usr/bin/python3.11", True, ("3.11",), "glibc", "a:x:1:1::/:\n", "")
    found = {}
    for info, content in read_entries(user_layer(facts), "x"):
        found[info.name] = (info, content.read().decode() if content is not None else "")
    lines = found["etc/passwd"][1].splitlines()
    assert lines == ["a:x:1:1::/:", "bentofn:x:1034:1034:bentofn:/home/bentofn:/usr/sbin/nologin"]
    assert found["home/bentofn"][0].uid == 1034


def test_a_model_of_many_files_is_not_more_layers_than_runtimes_take(
    tmp_path: Path, store: Store
) -> None:
    (tmp_path / "model").mkdir()
    for number in range(150):
        save_file({"a": np.full(3, number)}, tmp_path / "model" / f"{number:03}.safetensors")
    model = import_model(store, tmp_path / "model", "many", "1")
    layers = list(image_layers(store.home, store, model_layers(store, model)))
    assert len(layers) <= 64
    found = [i.name for layer in layers for i, _ in read_entries(layer, "x") if i.isreg()]
    assert len(found) == len(set(found)) == 150
