"""What `inspect` reads out of layers, and what a node must fetch between two bentos."""

import dataclasses
import hashlib
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from bentofn.packager.compare import compare
from bentofn.packager.home import Home
from bentofn.packager.inspect import inspect
from bentofn.packager.layers import FAST, LayerFile, LayerLink, put_chunked, put_layer
from bentofn.packager.modelstore import import_model, model_layers
from bentofn.packager.prefetch.artifact import LIST_TYPE, PACK_TYPE, PREFETCH
from bentofn.packager.prefetch.trace import HotFile, Trace
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.referrers import put_referrer, subject_descriptor
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


METADATA = "Metadata-Version: 2.4\nName: {}\nVersion: 1\n{}\n"


def package(name: str, *requires: str) -> list[LayerFile]:
    lines = "".join(f"Requires-Dist: {line}\n" for line in requires)
    info = f"opt/bento/env/{name}-1.dist-info"
    module = f"{name.lower()}/__init__.py"
    record = f"{module},sha256=x,1\n{name}-1.dist-info/METADATA,,\n"
    return [
        LayerFile(f"opt/bento/env/{module}", name.encode()),
        LayerFile(f"{info}/METADATA", METADATA.format(name, lines).encode()),
        LayerFile(f"{info}/RECORD", record.encode()),
    ]


def add_env(store: Store, *, chunked: bool) -> Entry:
    files = [
        *package("Torch", "sympy>=1.13; python_version > '3'", 'opt-einsum; extra == "opt"'),
        *package("sympy", "mpmath<2,>=1.1"),
        *package("mpmath"),
        *package("opt_einsum"),
        *package("starlette", "anyio>=3"),
        *package("anyio"),
    ]
    pyc = LayerFile("opt/bento/env/sympy/__pycache__/__init__.cpython-311.pyc", b"pyc")
    if chunked:
        env = put_chunked(store, files, kind="env", title="env", packing=FAST, gather=True)
    else:
        env = put_layer(store, files, kind="env", title="env")
    layers = [env, put_layer(store, [pyc], kind="bytecode", title="bytecode")]
    bento = BentoManifest(
        "w", "1", ServiceContract("g", "s:G"), "3.11", "linux", requires=("torch",)
    )
    return store.add_bento(bento, layers, NOW)


@pytest.mark.parametrize("chunked", [True, False])
def test_who_wanted_a_file(store: Store, chunked: bool) -> None:
    env, bytecode = inspect(store, add_env(store, chunked=chunked))
    why = {file.path.removeprefix("opt/bento/env/"): file.why for file in env.files}
    assert why["torch/__init__.py"] == "Torch-1, required by the project"
    assert why["mpmath/__init__.py"] == "mpmath-1, required by sympy, by torch, by the project"
    assert why["mpmath-1.dist-info/METADATA"] == why["mpmath/__init__.py"]
    assert why["anyio/__init__.py"] == "anyio-1, required by starlette, by bentofn's runtime"
    assert why["opt_einsum/__init__.py"] == "opt_einsum-1, in the lock"
    assert env.why == "6 packages, torch required by the project, 2 for bentofn's runtime"
    assert bytecode.files[0].why == "sympy-1 imported on start"
    assert env.hot is None


def test_what_is_hot(store: Store) -> None:
    entry = add_env(store, chunked=True)
    trace = Trace((HotFile("env/sympy/__init__.py", 5, ("stat", "read"), ((0, 5),)),))
    blobs = [store.put_bytes(trace.to_json(), LIST_TYPE), store.put_bytes(b"", PACK_TYPE)]
    put_referrer(store, subject_descriptor(entry), PREFETCH, blobs)
    env, bytecode = inspect(store, entry)
    (hot,) = (file for file in env.files if file.hot)
    assert (hot.path, hot.hot, hot.asked) == (
        "opt/bento/env/sympy/__init__.py",
        5,
        ("stat", "read"),
    )
    assert (env.hot, env.cold) == (5, env.unpacked - 5)
    assert (bytecode.hot, bytecode.cold) == (0, 3)


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
    assert difference.fetched == changed.after == changed.fetched


def test_layers_that_come_and_go(store: Store) -> None:
    first = add(store, "1", {"a.py": b"a"})
    layers = [*store.descriptors(first)[1:]]
    layers.append(put_layer(store, [LayerFile("opt/bento/env/t", b"t")], kind="env", title="torch"))
    bento = BentoManifest("g", "2", ServiceContract("g", "s:G"), "3.11", "linux")
    difference = compare(store, first, store.add_bento(bento, layers, NOW))
    changes = {layer.name: layer.change for layer in difference.layers}
    assert (changes["torch"], changes["wheels"]) == ("added", "removed")
    assert difference.fetched == layers[-1].size
