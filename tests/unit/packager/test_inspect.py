"""What `inspect` reads out of layers, and what a node must fetch between two bentos."""

import dataclasses
import hashlib
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from bentofn.packager.home import Home
from bentofn.packager.inspect import compare, inspect
from bentofn.packager.layers import LayerFile, LayerLink, put_layer
from bentofn.packager.modelstore import import_model, model_layers
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Home(tmp_path / "home"))


def add(store: Store, version: str, code: dict[str, bytes], weight: float = 1.0) -> Entry:
    folder = store.home.path / f"source-{version}"
    folder.mkdir()
    (folder / "notes.txt").write_text("words")
    save_file({"a": np.full((2, 4), weight), "b": np.ones(3)}, folder / "model.safetensors")
    model = import_model(store, folder, "words", version)
    files = [LayerFile(f"opt/bento/src/{name}", content) for name, content in code.items()]
    env = [LayerFile("opt/bento/env/lib.py", b"lib"), LayerLink("opt/bento/env/l", "lib.py")]
    layers = [
        put_layer(store, env, kind="env", title="wheels"),
        *[
            dataclasses.replace(
                layer,
                annotations={
                    key: value.replace(f"words/{version}", "words/x")
                    for key, value in layer.annotations.items()
                },
            )
            for layer in model_layers(store, model)
        ],
        put_layer(store, files, kind="code", title="code"),
    ]
    contract = ServiceContract("g", "s:G")
    return store.add_bento(BentoManifest("g", version, contract, "3.11", "linux"), layers, NOW)


def test_layers_with_their_files_and_tensors(store: Store) -> None:
    entry = add(store, "1", {"small.py": b"x", "large.py": b"x" * 100_000})
    env, weights, files, code = inspect(store, entry)
    assert [env.kind, weights.kind, files.kind, code.kind] == ["env", "model", "model", "code"]
    assert [file.path for file in code.files] == [
        "opt/bento/src/large.py",
        "opt/bento/src/small.py",
    ]
    assert code.unpacked == 100_001 > code.packed
    assert code.files[1].digest == f"sha256:{hashlib.sha256(b'x').hexdigest()}"
    assert [file.path for file in env.files] == ["opt/bento/env/lib.py", "opt/bento/env/l"]
    tensors = {tensor.name: tensor for tensor in weights.tensors}
    assert (tensors["a"].dtype, tensors["a"].shape) == ("F64", (2, 4))
    assert tensors["a"].digest.startswith("blake3:")
    assert weights.packed == weights.unpacked == weights.files[0].size


def test_one_layer_by_its_name(store: Store) -> None:
    entry = add(store, "1", {"a.py": b"a"})
    assert [layer.name for layer in inspect(store, entry, "code")] == ["code"]
    with pytest.raises(UserError, match=r"no layer 'cod'.*wheels.*code"):
        inspect(store, entry, "cod")


def test_a_damaged_layer_is_named(store: Store) -> None:
    entry = add(store, "1", {"a.py": b"a"})
    for layer in store.layers(entry):
        path = store.blob_path(layer.digest)
        whole = path.read_bytes()
        path.chmod(0o644)
        for damage in (whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
            path.write_bytes(damage)
            with pytest.raises(UserError, match=f"{layer.name}.*damaged"):
                inspect(store, entry, layer.name)
        path.unlink()
        with pytest.raises(UserError, match=f"{layer.name}.*missing"):
            inspect(store, entry, layer.name)
        path.write_bytes(whole)


def test_a_code_change_ships_code_only(store: Store) -> None:
    first = add(store, "1", {"kept.py": b"k", "gone.py": b"g", "edited.py": b"1"})
    second = add(store, "2", {"kept.py": b"k", "new.py": b"nn", "edited.py": b"22"})
    difference = compare(store, first, second)
    changes = {layer.name: layer.change for layer in difference.layers}
    assert changes.pop("code") == "changed"
    assert set(changes.values()) == {"same"}
    code = difference.layers[-1]
    assert [(f.path.rpartition("/")[2], f.change, f.before, f.after) for f in code.files] == [
        ("edited.py", "changed", 1, 2),
        ("gone.py", "removed", 1, None),
        ("new.py", "added", None, 2),
    ]
    assert difference.fetched == code.after
    assert compare(store, first, first).fetched == 0


def test_new_weights_are_fetched_and_the_rest_is_shared(store: Store) -> None:
    first, second = add(store, "1", {"a.py": b"a"}), add(store, "2", {"a.py": b"a"}, weight=2.0)
    difference = compare(store, first, second)
    (changed,) = (layer for layer in difference.layers if layer.change != "same")
    assert changed.name == "words/model.safetensors"
    assert [file.change for file in changed.files] == ["changed"]
    assert difference.fetched == changed.after


def test_layers_that_come_and_go(store: Store) -> None:
    first = add(store, "1", {"a.py": b"a"})
    layers = [*store.descriptors(first)[1:]]
    layers.append(put_layer(store, [LayerFile("opt/bento/env/t", b"t")], kind="env", title="torch"))
    bento = BentoManifest("g", "2", ServiceContract("g", "s:G"), "3.11", "linux")
    difference = compare(store, first, store.add_bento(bento, layers, NOW))
    changes = {layer.name: layer.change for layer in difference.layers}
    assert (changes["torch"], changes["wheels"]) == ("added", "removed")
    assert difference.fetched == layers[-1].size
