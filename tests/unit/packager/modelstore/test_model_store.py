import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bentofn.packager.home import Home, leftovers
from bentofn.packager.modelstore import (
    describe_model,
    export_model,
    import_model,
    local_path,
    model_layers,
)
from bentofn.packager.modelstore.access import model_files
from bentofn.packager.store import Store
from bentofn.packager.store.descriptors import MODEL_WEIGHT
from bentofn.runtime.errors import UserError

WEIGHTS: dict[str, Any] = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.ones(3, dtype=np.float16),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Home(tmp_path / "home"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    (directory / "tokenizer").mkdir(parents=True)
    save_file(WEIGHTS, directory / "model.safetensors")
    (directory / "config.json").write_text("{}")
    (directory / "tokenizer" / "vocab.txt").write_text("words")
    (directory / ".git").mkdir()
    (directory / ".git" / "HEAD").write_text("")
    (directory / ".hidden").write_text("")
    return directory


def files(store: Store, tag: str) -> set[str]:
    _, _, path = local_path(tag, store.home)
    return {found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file()}


def test_a_directory_is_kept_with_its_paths(store: Store, model: Path) -> None:
    entry = import_model(store, model, "words", labels={"k": "v"}, metadata={"n": [1]})
    assert files(store, "words") == {"model.safetensors", "config.json", "tokenizer/vocab.txt"}
    info = describe_model(store, entry)
    assert (info.labels, info.metadata) == ({"k": "v"}, {"n": [1]})
    assert set(info.tensors["model.safetensors"]) == {"a", "b"}
    assert entry.version == entry.version.lower()
    assert len(entry.version) == 12


def test_weights_start_at_a_page_and_stay_the_same(
    store: Store, model: Path, tmp_path: Path
) -> None:
    entry = import_model(store, model, "words")
    (weights,) = [d for d in store.descriptors(entry) if d.media_type == MODEL_WEIGHT]
    stored = store.blob_path(weights.digest)
    (length,) = struct.unpack("<Q", stored.read_bytes()[:8])
    assert (8 + length) % 4096 == 0
    loaded = load_file(stored)
    assert all(np.array_equal(loaded[name], value) for name, value in WEIGHTS.items())
    copy = tmp_path / "aligned.safetensors"
    shutil.copy(stored, copy)
    again = import_model(store, copy, "again")
    assert [d.digest for d in store.descriptors(again)] == [weights.digest]


def test_the_same_import_changes_nothing(store: Store, model: Path) -> None:
    entry = import_model(store, model, "words")
    before = {p: p.stat().st_ino for p in store.path.rglob("*")}
    assert import_model(store, model, "words") == entry
    assert {p: p.stat().st_ino for p in store.path.rglob("*")} == before
    (model / "config.json").write_text('{"x": 1}')
    assert import_model(store, model, "words").version != entry.version
    assert leftovers(store.home) == []


def test_a_version_of_the_users(store: Store, model: Path) -> None:
    assert import_model(store, model, "Words", "V2").tag == "words:v2"
    with pytest.raises(UserError, match="version"):
        import_model(store, model, "words", "v/2")


def test_one_file_is_a_model(store: Store, model: Path) -> None:
    import_model(store, model / "model.safetensors", "single")
    assert files(store, "single") == {"model.safetensors"}


def test_nothing_to_import_is_said(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file or directory"):
        import_model(store, tmp_path / "nothing", "x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no files"):
        import_model(store, tmp_path / "empty", "x")


def test_a_truncated_safetensors_is_refused(store: Store, model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"model\.safetensors"):
        import_model(store, model, "words")
    assert store.list("model") == []


def test_a_shard_that_is_missing_is_named(store: Store, model: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "c": "other.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"index\.json needs other\.safetensors"):
        import_model(store, model, "words")
    save_file({"c": WEIGHTS["a"]}, model / "other.safetensors")
    import_model(store, model, "words")


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../secret"])
def test_an_index_that_names_files_elsewhere_is_refused(
    store: Store, tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    index = tmp_path / "in" / "model.safetensors.index.json"
    index.parent.mkdir()
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    for source in (index, index.parent):
        with pytest.raises(UserError, match="outside of its folder"):
            import_model(store, source, "m")


def test_an_index_that_is_none_is_a_file(store: Store, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "model.safetensors.index.json").write_text("[" * 100_000)
    entry = import_model(store, tmp_path / "in", "m")
    assert list(model_files(store, entry)) == ["model.safetensors.index.json"]


def _zip(path: Path, member: str, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)


@pytest.mark.parametrize("name", ["x.pkl", "x.joblib", "x", "deep/x.dat"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_is_refused(store: Store, model: Path, name: str, protocol: int) -> None:
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(pickle.dumps({"a": 1}, protocol))
    with pytest.raises(UserError, match=rf"{name}.*pickle"):
        import_model(store, model, "words")


def test_a_pickle_in_a_zip_is_refused(store: Store, model: Path) -> None:
    _zip(model / "x.ckpt", "archive/data.pkl", b"")
    with pytest.raises(UserError, match=r"x\.ckpt"):
        import_model(store, model, "words")


def test_arrays_of_objects_are_refused(store: Store, model: Path) -> None:
    np.save(model / "plain.npy", np.ones(3))
    np.savez(model / "plain.npz", a=np.ones(3))
    import_model(store, model, "words")
    objects: Any = np.array([{}, []], dtype=object)
    np.save(model / "x.npy", objects, allow_pickle=True)
    with pytest.raises(UserError, match=r"x\.npy"):
        import_model(store, model, "words")
    (model / "x.npy").unlink()
    np.savez(model / "x.npz", a=objects)
    with pytest.raises(UserError, match=r"x\.npz"):
        import_model(store, model, "words")
    (model / "x.npz").unlink()
    np.save(model / "x.npy", np.zeros(2, dtype=[("n", "<i4"), ("o", "O")]))
    with pytest.raises(UserError, match=r"x\.npy"):
        import_model(store, model, "words")


def test_a_binary_file_that_is_no_pickle_is_kept(store: Store, model: Path) -> None:
    (model / "sentencepiece.bin").write_bytes(b"\x0a\x0b")
    import_model(store, model, "words")
    assert "sentencepiece.bin" in files(store, "words")


def test_links_inside_are_followed_and_others_refused(
    store: Store, model: Path, tmp_path: Path
) -> None:
    (model / "alias.json").symlink_to("config.json")
    (model / "vocab").symlink_to("tokenizer")
    import_model(store, model, "words")
    assert {"alias.json", "vocab/vocab.txt"} < files(store, "words")
    (tmp_path / "secret").write_text("")
    (model / "out").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="out of the model's directory"):
        import_model(store, model, "words")
    (model / "out").unlink()
    (model / "loop").symlink_to(".")
    with pytest.raises(UserError, match="loop"):
        import_model(store, model, "words")
    (model / "loop").unlink()
    (model / "dead").symlink_to("nowhere")
    with pytest.raises(UserError, match="leads nowhere"):
        import_model(store, model, "words")


def test_layers_of_a_bento_are_the_models_own_blobs(store: Store, model: Path) -> None:
    entry = import_model(store, model, "words")
    layers = model_layers(store, entry)
    assert [d.digest for d in layers] == [d.digest for d in store.descriptors(entry)]
    base = f"opt/bento/models/words/{entry.version}"
    assert [layer.annotations["io.bentofn.layer.path"] for layer in layers] == [
        f"{base}/model.safetensors",
        base,
    ]
    titles = [layer.annotations["org.opencontainers.image.title"] for layer in layers]
    assert titles == ["words/model.safetensors", "words/files"]


def test_all_files_but_the_weights_are_one_layer(store: Store, model: Path) -> None:
    entry = import_model(store, model, "words")
    weights, files = store.descriptors(entry)
    assert weights.media_type == "application/vnd.cncf.model.weight.v1.raw"
    assert files.media_type == "application/vnd.cncf.model.weight.config.v1.tar"
    with tarfile.open(store.blob_path(files.digest), "r:") as archive:
        assert archive.getnames() == ["config.json", "tokenizer", "tokenizer/vocab.txt"]
    assert model_files(store, entry) == {
        "config.json": 2,
        "model.safetensors": weights.size,
        "tokenizer/vocab.txt": 5,
    }
    (model / "config.json").chmod(0o700)
    os.utime(model / "config.json", (1, 1))
    assert import_model(store, model, "others").version == entry.version
    assert store.descriptors(store.get("model", "others")) == (weights, files)


def test_a_model_without_weights_or_without_other_files(store: Store, model: Path) -> None:
    (only_weights,) = store.descriptors(import_model(store, model / "model.safetensors", "w"))
    (only_files,) = store.descriptors(import_model(store, model / "config.json", "f"))
    assert (only_weights.is_archive, only_files.is_archive) == (False, True)
    assert files(store, "w") == {"model.safetensors"}
    assert files(store, "f") == {"config.json"}


def test_odd_names_are_kept(store: Store, tmp_path: Path) -> None:
    odd = {"a b", "ünï", "x" * 150, "new\nline", "deep/" + "y" * 200, "semi;'\""}
    for name in odd:
        path = tmp_path / "odd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    entry = import_model(store, tmp_path / "odd", "odd")
    assert set(model_files(store, entry)) == odd == files(store, "odd")
    export_model(store, "odd", tmp_path / "out")
    assert (tmp_path / "out" / "ünï").read_text() == "ünï"


def test_a_name_that_is_not_utf8_is_refused(store: Store, model: Path) -> None:
    (model / os.fsdecode(b"\xff.txt")).write_text("")
    with pytest.raises(UserError, match="UTF-8"):
        import_model(store, model, "words")


def test_a_damaged_archive_is_said(store: Store, model: Path, tmp_path: Path) -> None:
    entry = import_model(store, model, "words")
    store.blobs.remove(store.descriptors(entry)[1].digest)
    for read in (
        lambda: model_files(store, entry),
        lambda: local_path("words", store.home),
        lambda: export_model(store, "words", tmp_path / "exported"),
    ):
        with pytest.raises(UserError, match=r"damaged.*import"):
            read()
    assert import_model(store, model, "words") == entry
    assert "config.json" in files(store, "words")


def test_the_local_path_follows_a_replaced_version(store: Store, model: Path) -> None:
    import_model(store, model, "words", "1")
    name, version, path = local_path("words:latest", store.home)
    assert (name, version) == ("words", "1")
    assert path == store.home.models / "words" / "1"
    (model / "config.json").write_text("new")
    import_model(store, model, "words", "1")
    assert local_path("words", store.home)[2] == path
    assert (path / "config.json").read_text() == "new"


def test_export_writes_a_directory_and_nothing_over_it(
    store: Store, model: Path, tmp_path: Path
) -> None:
    import_model(store, model, "words")
    target = tmp_path / "exported"
    export_model(store, "words", target)
    assert (target / "tokenizer" / "vocab.txt").read_text() == "words"
    (target / "mine").write_text("")
    with pytest.raises(UserError, match="--force"):
        export_model(store, "words", target)
    export_model(store, "words", target, force=True)
    assert not (target / "mine").exists()
    assert (target / "config.json").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"home", "model", "exported"}


def test_a_damaged_file_is_not_exported(store: Store, model: Path, tmp_path: Path) -> None:
    entry = import_model(store, model, "words")
    blob = store.blob_path(store.descriptors(entry)[0].digest)
    blob.chmod(0o600)
    blob.write_bytes(b"xx")
    with pytest.raises(UserError, match="damaged"):
        export_model(store, "words", tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
    assert import_model(store, model, "words") == entry
    export_model(store, "words", tmp_path / "exported")


@pytest.mark.slow
def test_checkpoints_become_safetensors(store: Store, model: Path) -> None:
    torch = pytest.importorskip("torch")
    tied = torch.ones(4)
    torch.save({"w": tied, "head": tied, "x": torch.zeros(2)}, model / "extra.pt")
    said: list[str] = []
    entry = import_model(store, model, "words", report=said.append)
    assert "extra.safetensors" in files(store, "words")
    assert "extra.pt" not in files(store, "words")
    assert describe_model(store, entry).tied == {"extra.safetensors": {"head": "w"}}
    assert said == ["Converted extra.pt to extra.safetensors."]
    assert import_model(store, model, "words") == entry


@pytest.mark.slow
def test_a_checkpoint_beside_the_same_safetensors_is_dropped(store: Store, model: Path) -> None:
    torch = pytest.importorskip("torch")
    state = {name: torch.from_numpy(value) for name, value in WEIGHTS.items()}
    torch.save(state, model / "pytorch_model.bin")
    said: list[str] = []
    import_model(store, model, "words", report=said.append)
    assert files(store, "words") == {"model.safetensors", "config.json", "tokenizer/vocab.txt"}
    assert said[0].startswith("Dropped pytorch_model.bin")
    state["a"] = state["a"] + 1
    torch.save(state, model / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"model\.safetensors"):
        import_model(store, model, "words")


@pytest.mark.slow
def test_a_sharded_checkpoint_gets_a_safetensors_index(store: Store, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    source = tmp_path / "sharded"
    source.mkdir()
    names = [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
    torch.save({"a": torch.ones(2)}, source / names[0])
    torch.save({"b": torch.zeros(2)}, source / names[1])
    index = {"metadata": {}, "weight_map": {"a": names[0], "b": names[1]}}
    (source / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    import_model(store, source, "sharded")
    shards = {name.replace("pytorch_", "").replace(".bin", ".safetensors") for name in names}
    assert files(store, "sharded") == {*shards, "model.safetensors.index.json"}
    _, _, path = local_path("sharded", store.home)
    stored = json.loads((path / "model.safetensors.index.json").read_bytes())
    assert set(stored["weight_map"].values()) == shards


@pytest.mark.slow
def test_half_a_checkpoint_is_refused(store: Store, model: Path) -> None:
    torch = pytest.importorskip("torch")
    checkpoint = model / "pytorch_model.bin"
    torch.save({"c": torch.ones(1000)}, checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:2000])
    for source in (model, checkpoint):
        with pytest.raises(UserError, match=r"pytorch_model\.bin is damaged"):
            import_model(store, source, "words")


@pytest.mark.slow
def test_a_binary_file_alone_is_a_checkpoint_or_refused(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "model.bin").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"model\.bin is damaged or no torch checkpoint"):
        import_model(store, tmp_path / "model.bin", "words")


@pytest.mark.slow
def test_a_checkpoint_that_runs_code_is_refused(store: Store, model: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a": Path("/")}, model / "args.pt")
    with pytest.raises(UserError, match=r"args\.pt"):
        import_model(store, model, "words")
    assert store.list("model") == []
