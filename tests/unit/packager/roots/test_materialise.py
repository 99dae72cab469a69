import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bentofn.packager.files import remove_tree, temporary_directory
from bentofn.packager.home import Home, leftovers
from bentofn.packager.layers import LayerEntry, LayerFile, LayerLink, collect_tree, put_layer
from bentofn.packager.layers.put import LayerKind
from bentofn.packager.modelstore import import_model, model_layers
from bentofn.packager.roots.materialise import (
    adopt_env,
    materialise,
    prune,
    unmaterialise,
    unpack_env,
)
from bentofn.packager.roots.standing import root_path
from bentofn.packager.roots.trees import Tree
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import MODEL_WEIGHT
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest, ServiceContract

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def layer(home: Home, kind: LayerKind, files: Mapping[str, bytes]) -> Descriptor:
    entries = [LayerFile(f"opt/bento/{path}", content) for path, content in files.items()]
    return put_layer(Store(home), entries, kind=kind, title=f"the {kind}")


def layers(home: Home, code: bytes = b"code") -> list[Descriptor]:
    return [
        layer(home, "env", {"env/torch/__init__.py": b"torch", "env/both.py": b"first"}),
        layer(home, "env", {"env/numpy.py": b"numpy", "env/both.py": b"second"}),
        layer(home, "bytecode", {"env/__pycache__/numpy.pyc": b"pyc"}),
        layer(home, "runtime", {"runtime/bentofn/__init__.py": b"runtime"}),
        layer(home, "code", {"src/service.py": code, "src/bento.json": b"the user's"}),
    ]


def build(home: Home, version: str = "1", code: bytes = b"code") -> Entry:
    store = Store(home)
    bento = BentoManifest("greeter", version, ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    return store.add_bento(bento, layers(home, code), NOW)


def tree(root: Path) -> dict[str, tuple[int, bytes | str]]:
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(root.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink():
            found[str(path.relative_to(root))] = (mode, str(path.readlink()))
        else:
            content = b"" if path.is_dir() else path.read_bytes()
            found[str(path.relative_to(root))] = (mode, content)
    return found


def damage(home: Home, digest: str) -> None:
    path = Store(home).blob_path(digest)
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_bento_becomes_a_root(home: Home) -> None:
    entry = build(home)
    root = BentoRoot(materialise(home, entry))
    assert root.path == root_path(home, entry)
    assert BentoManifest.read(root.manifest).tag == "greeter:1"
    assert (root.source / "service.py").read_bytes() == b"code"
    assert (root.environment / "torch" / "__init__.py").read_bytes() == b"torch"
    assert (root.environment / "both.py").read_bytes() == b"second"
    assert (root.environment / "__pycache__" / "numpy.pyc").exists()
    assert (root.runtime / "bentofn" / "__init__.py").read_bytes() == b"runtime"
    assert list(root.models.iterdir()) == []


def test_a_root_may_move_with_its_home(home: Home, tmp_path: Path) -> None:
    root = materialise(home, build(home))
    moved = home.path.rename(tmp_path / "moved")
    assert (moved / root.relative_to(home.path) / "src" / "service.py").exists()


def test_asking_again_makes_nothing(home: Home) -> None:
    entry = build(home)
    root = materialise(home, entry)
    before = {path: path.stat().st_ino for path in (root, *home.unpacked.iterdir())}
    assert materialise(home, entry) == root
    assert {path: path.stat().st_ino for path in (root, *home.unpacked.iterdir())} == before


def test_bentos_share_what_they_have_in_common(home: Home) -> None:
    first = materialise(home, build(home))
    second = materialise(home, build(home, "2", b"changed"))
    assert (first / "env").resolve() == (second / "env").resolve()
    assert (first / "src").resolve() != (second / "src").resolve()


def test_many_may_ask_at_once(home: Home) -> None:
    entry = build(home)
    with ThreadPoolExecutor(8) as pool:
        roots = set(pool.map(lambda _: materialise(home, entry), range(16)))
    assert len(roots) == 1
    assert leftovers(home) == []


@pytest.mark.parametrize("index", range(5))
def test_a_damaged_layer_is_named_and_a_rebuild_mends_it(home: Home, index: int) -> None:
    entry = build(home)
    descriptor = Store(home).descriptors(entry)[index]
    damage(home, descriptor.digest)
    with pytest.raises(UserError, match=f"'the .*{descriptor.digest}.*build"):
        materialise(home, entry)
    assert not root_path(home, entry).exists()
    assert leftovers(home) == []
    assert build(home).digest == entry.digest
    assert (materialise(home, entry) / "bento.json").exists()


def test_a_damaged_config_is_named(home: Home) -> None:
    entry = build(home)
    damage(home, str(Store(home).manifest(entry)["config"]["digest"]))
    with pytest.raises(UserError, match="config of bento greeter:1"):
        materialise(home, entry)


def test_a_bento_without_dependencies_has_an_empty_environment(home: Home) -> None:
    bento = BentoManifest("small", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    entry = Store(home).add_bento(bento, [layer(home, "code", {"src/a.py": b""})], NOW)
    root = materialise(home, entry)
    assert list((root / "env").iterdir()) == []


def test_a_layer_of_an_unknown_kind_is_refused(home: Home) -> None:
    bento = BentoManifest("new", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    odd = Store(home).put_bytes(b"x", "m")
    entry = Store(home).add_bento(bento, [odd], NOW)
    with pytest.raises(UserError, match="kind"):
        materialise(home, entry)


def test_models_are_links_to_their_blobs(home: Home, tmp_path: Path) -> None:
    source = tmp_path / "model"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "vocab.txt").write_text("words")
    save_file({"a": np.ones(3)}, source / "deep" / "model.safetensors")
    store = Store(home)
    model = import_model(store, source, "words")
    bento = BentoManifest("m", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    entry = store.add_bento(bento, [*layers(home), *model_layers(store, model)], NOW)
    root = materialise(home, entry)
    file = root / "models" / "words" / model.version / "deep" / "vocab.txt"
    weights = file.with_name("model.safetensors")
    assert file.read_text() == "words"
    assert weights.stat().st_nlink == 2
    assert load_file(weights).keys() == {"a"}
    assert {info.digest for info in store.layers(model)} < {i.digest for i in store.layers(entry)}
    store.delete("model", "words")
    store.gc(minimum_age=0.0)
    unmaterialise(home, entry)
    for unpacked in home.unpacked.iterdir():
        remove_tree(unpacked)
    materialise(home, entry)
    assert file.read_text() == "words"
    assert weights.stat().st_nlink == 2


@pytest.mark.parametrize(
    ("name", "says"),
    [("vocab.txt", "words/files.*import"), ("w.safetensors", r"w\.safetensors.*import")],
)
def test_a_damaged_model_file_is_named(home: Home, tmp_path: Path, name: str, says: str) -> None:
    save_file({"a": np.ones(3)}, tmp_path / name)
    store = Store(home)
    model = import_model(store, tmp_path / name, "words")
    bento = BentoManifest("m", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    entry = store.add_bento(bento, model_layers(store, model), NOW)
    damage(home, store.layers(model)[0].digest)
    with pytest.raises(UserError, match=says):
        materialise(home, entry)


@pytest.mark.parametrize(
    "path", ["", "opt/bento/models/words", "opt/bento/models/words/1", "opt/bento/src/words/1/x"]
)
def test_a_model_layer_without_a_place_is_refused(home: Home, path: str) -> None:
    store = Store(home)
    blob = replace(
        store.put_bytes(b"x", MODEL_WEIGHT),
        annotations={"io.bentofn.layer.kind": "model", "io.bentofn.layer.path": path},
    )
    bento = BentoManifest("m", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    with pytest.raises(UserError, match="model layer"):
        materialise(home, store.add_bento(bento, [blob], NOW))


def write_env(root: Path) -> None:
    (root / "pkg" / "__pycache__").mkdir(parents=True)
    (root / "pkg" / "empty" / "deeper").mkdir(parents=True)
    for path, mode in (("pkg/__init__.py", 0o664), ("pkg/tool", 0o775), ("pkg/data", 0o600)):
        (root / path).write_text(path)
        (root / path).chmod(mode)
    (root / "pkg" / "__pycache__" / "__init__.pyc").write_bytes(b"pyc")
    (root / "pkg" / "lib.so").symlink_to("data")
    (root / "pkg" / "folder").symlink_to("__pycache__")


def env_layers(home: Home, root: Path) -> list[Descriptor]:
    def is_bytecode(entry: LayerEntry) -> bool:
        return entry.path.endswith(".pyc")

    entries = list(collect_tree(root, "opt/bento/env"))
    store = Store(home)
    return [
        put_layer(store, [e for e in entries if not is_bytecode(e)], kind="env", title="env"),
        put_layer(store, [e for e in entries if is_bytecode(e)], kind="bytecode", title="pyc"),
    ]


def test_an_adopted_environment_equals_the_unpacked_one(home: Home, tmp_path: Path) -> None:
    with temporary_directory(home.directory(home.unpacked)) as installed:
        write_env(installed)
        cached = tmp_path / "cache"
        cached.hardlink_to(installed / "pkg" / "data")
        parts = env_layers(home, installed)
        adopted = adopt_env(home, parts, installed)
    other = Home(tmp_path / "other")
    for part in parts:
        Store(other).put_file(Store(home).blob_path(part.digest), part.media_type)
    unpacked = unpack_env(other, parts)
    assert adopted.name == unpacked.name
    assert tree(adopted) == tree(unpacked)
    assert adopted.stat().st_mode == unpacked.stat().st_mode
    assert unpack_env(home, parts) == adopted
    assert stat.S_IMODE(cached.stat().st_mode) == 0o600
    assert leftovers(home) == []


def test_adopting_twice_keeps_the_first(home: Home, tmp_path: Path) -> None:
    trees = [tmp_path / "a", tmp_path / "b"]
    for path in trees:
        write_env(path)
    parts = env_layers(home, trees[0])
    adopted = adopt_env(home, parts, trees[0])
    inode = adopted.stat().st_ino
    assert adopt_env(home, parts, trees[1]).stat().st_ino == inode
    assert not any(path.exists() for path in trees)


def test_prune_frees_what_nobody_needs(home: Home) -> None:
    first, second = build(home, "1"), build(home, "2", b"changed")
    root, other = materialise(home, first), materialise(home, second)
    assert prune(home) == []
    Store(home).delete("bento", "greeter:1")
    source = (root / "src").resolve()
    assert prune(home, keep=[root]) == []
    removed = prune(home)
    assert set(removed) == {root, source}
    assert (other / "src" / "service.py").exists()
    assert (other / "env" / "numpy.py").exists()


def test_unmaterialise_removes_the_root_only(home: Home) -> None:
    entry = build(home)
    root = materialise(home, entry)
    unmaterialise(home, entry)
    unmaterialise(home, entry)
    assert not root.exists()
    assert len(list(home.unpacked.iterdir())) == 3
    assert (materialise(home, entry) / "src" / "service.py").exists()


def test_a_root_whose_trees_are_gone_is_mended(home: Home) -> None:
    entry = build(home)
    root = materialise(home, entry)
    (root / "src").resolve().rename(home.path / "elsewhere")
    assert (materialise(home, entry) / "src" / "service.py").exists()


def test_a_kill_leaves_no_half_root(home: Home) -> None:
    files: list[LayerEntry] = [
        LayerFile(f"opt/bento/env/{number}.py", os.urandom(2000)) for number in range(400)
    ]
    files.append(LayerLink("opt/bento/env/last", "0.py"))
    store = Store(home)
    env = put_layer(store, files, kind="env", title="env")
    code = layer(home, "code", {"src/service.py": b"code"})
    bento = BentoManifest("big", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    entry = store.add_bento(bento, [env, code], NOW)
    program = (
        "import sys, pathlib, bentofn.packager.roots.materialise as m\n"
        "from bentofn.packager.home import Home\n"
        "from bentofn.packager.store import Store\n"
        "from bentofn.packager.roots.trees import discard\n"
        "home = Home(pathlib.Path(sys.argv[1]))\n"
        "entry = Store(home).get('bento', 'big')\n"
        "print('open', flush=True)\n"
        "while True:\n"
        "    m.materialise(home, entry)\n"
        "    m.unmaterialise(home, entry)\n"
        "    for tree in home.unpacked.glob('[a-z]*'):\n"
        "        discard(tree)\n"
    )
    chance = random.Random(3)
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(home.path)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"open\n"
            time.sleep(chance.uniform(0.0, 0.15))
            process.send_signal(signal.SIGKILL)
        root = root_path(home, entry)
        if root.exists():
            assert (root / "bento.json").read_bytes() == bento.to_json()
        for found in home.unpacked.glob("env-*"):
            assert len(list(found.iterdir())) == len(files)
    root = materialise(home, entry)
    assert len(list((root / "env").iterdir())) == len(files)


@dataclass(frozen=True)
class Elsewhere:
    """Gives environments from another directory, as a mount would."""

    home: Home

    def provide(self, tree: Tree) -> Path | None:
        if not tree.prefix.endswith("/env"):
            return None
        place = self.home.mounted / tree.key
        place.mkdir(parents=True, exist_ok=True)
        (place / "elsewhere.py").write_text("")
        return place


def test_a_tree_may_come_from_elsewhere_and_the_rest_is_unpacked(home: Home) -> None:
    entry = build(home)
    root = BentoRoot(materialise(home, entry, [Elsewhere(home)]))
    assert root.environment.resolve().parent == home.mounted.resolve()
    assert (root.environment / "elsewhere.py").exists()
    assert (root.source / "service.py").read_bytes() == b"code"
    # Who does not see that mount has a root of his own, which is then good for everybody.
    unpacked = materialise(home, entry)
    assert unpacked == root_path(home, entry) != root.path
    assert (unpacked / "env" / "numpy.py").exists()
    assert materialise(home, entry, [Elsewhere(home)]) == unpacked
    assert (root.environment / "elsewhere.py").exists()
    assert prune(home) == []
    Store(home).delete("bento", "greeter")
    assert {path.parent for path in prune(home)} == {home.roots, home.unpacked, home.mounted}
    assert leftovers(home) == []
