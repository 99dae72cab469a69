import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.erofs.images import image_path
from bentofn.packager.home import Home, leftovers
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.roots.materialise import materialise, prune
from bentofn.packager.roots.mount_probe import can_mount
from bentofn.packager.roots.standing import root_path
from bentofn.packager.roots.trees import layers_key
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.runtime.manifest import BentoManifest, ServiceContract

REFUSAL = can_mount("erofs")
pytestmark = pytest.mark.skipif(REFUSAL is not None, reason=f"no EROFS here: {REFUSAL}")

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)

RUN = """
import json, sys
from pathlib import Path
from concurrent.futures import ThreadPoolExecutor
from bentofn.packager.home import Home
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.roots.providers import tree_providers
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
home = Home(Path(sys.argv[1]))
providers = tree_providers(home)
entry = Store(home).get("bento", "greeter")
def run(_=None):
    try:
        root = materialise(home, entry, providers)
    except UserError as error:
        return {"error": str(error)}
    mounts = Path("/proc/self/mountinfo").read_text().count(f" {home.mounted}/")
    try:
        module = (root / "env" / "package" / "module.py").read_text()
    except OSError as error:
        module = str(error)
    return {"root": str(root), "module": module, "mounts": mounts}
with ThreadPoolExecutor(4) as pool:
    list(pool.map(run, range(4)))
print(json.dumps(run()), flush=True)
for line in sys.stdin:
    print(json.dumps(run()), flush=True)
"""


class Runner:
    """A process that runs bentos, with mounts of its own."""

    def __init__(self, home: Home, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(home.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def ask(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write("again\n")
        self.process.stdin.flush()
        return self.answer()

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def environment(home: Home) -> list[Descriptor]:
    store = Store(home)
    files = [LayerFile("opt/bento/env/package/module.py", b"value = 1")]
    over = [LayerFile("opt/bento/env/package/module.pyc", b"bytecode")]
    return [
        put_layer(store, files, kind="env", title="packages"),
        put_layer(store, over, kind="bytecode", title="bytecode"),
    ]


def build(home: Home) -> Entry:
    store = Store(home)
    code = [LayerFile("opt/bento/src/service.py", b"")]
    layers = [*environment(home), put_layer(store, code, kind="code", title="code")]
    bento = BentoManifest("greeter", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    return store.add_bento(bento, layers, NOW)


def key(home: Home) -> str:
    return layers_key("env", environment(home))


def test_an_environment_is_mounted_where_it_is_not_unpacked(home: Home) -> None:
    entry = build(home)
    with Runner(home) as first, Runner(home) as second:
        for runner in (first, second):
            answer = runner.answer()
            assert (answer["module"], answer["mounts"]) == ("value = 1", 1)
            assert Path(answer["root"]) != root_path(home, entry)
        assert sorted(path.name.partition("-")[0] for path in home.unpacked.iterdir()) == [
            "runtime",
            "src",
        ]
        # Nobody else sees it, and who unpacks has his own root.
        assert list((home.mounted / key(home)).iterdir()) == []
        assert (materialise(home, entry) / "env" / "package" / "module.pyc").exists()
        assert first.ask()["root"] == str(root_path(home, entry))
        assert prune(home) == [image_path(home, key(home))]
        assert leftovers(home) == []


def test_it_is_unpacked_where_that_is_asked_for(home: Home) -> None:
    entry = build(home)
    with Runner(home, BENTOFN_EROFS="0") as runner:
        answer = runner.answer()
    assert (answer["module"], answer["mounts"]) == ("value = 1", 0)
    assert answer["root"] == str(root_path(home, entry))
    assert not home.images.exists()


def test_a_killed_process_leaves_nothing_in_the_way(home: Home) -> None:
    build(home)
    with Runner(home) as runner:
        assert runner.answer()["mounts"] == 1
        runner.process.kill()
        runner.process.wait()
    with Runner(home) as runner:
        assert runner.answer()["module"] == "value = 1"
        # While it runs from there the home can be removed.
        shutil.rmtree(home.path)
    assert not home.path.exists()


@pytest.mark.parametrize("damage", ["shorter", "superblock", "note", "gone"])
def test_a_damaged_image_is_made_again(home: Home, damage: str) -> None:
    build(home)
    with Runner(home) as runner:
        runner.answer()
    image = image_path(home, key(home))
    content = image.read_bytes()
    if damage == "gone":
        image.unlink()
    elif damage == "note":
        image.with_suffix(".json").write_text("{")
    else:
        image.chmod(0o600)
        image.write_bytes(content[:-4096] if damage == "shorter" else bytes(len(content)))
    with Runner(home) as runner:
        answer = runner.answer()
        assert (answer["module"], answer["mounts"]) == ("value = 1", 1)
    assert image.read_bytes() == content


def test_after_a_crash_of_the_machine_the_whole_image_is_checked(home: Home) -> None:
    build(home)
    with Runner(home) as runner:
        runner.answer()
    image, note = image_path(home, key(home)), image_path(home, key(home)).with_suffix(".json")
    content, noted = image.read_bytes(), json.loads(note.read_bytes())
    image.chmod(0o600)
    image.write_bytes(content[:4096] + bytes(len(content) - 4096))
    note.write_text(json.dumps(noted | {"boot": "another"}))
    with Runner(home) as runner:
        assert runner.answer()["module"] == "value = 1"
    assert image.read_bytes() == content
    note.write_text(json.dumps(noted | {"boot": "another"}))
    with Runner(home) as runner:
        assert runner.answer()["module"] == "value = 1"
    assert json.loads(note.read_bytes()) == noted


def test_a_damaged_layer_is_named_and_removed(home: Home) -> None:
    build(home)
    blob = Store(home).blob_path(environment(home)[0].digest)
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-1])
    with Runner(home) as runner:
        assert "'packages'" in runner.answer()["error"]
    assert not blob.exists()
    assert [path for path in home.images.iterdir() if path.suffix == ".erofs"] == []
    assert leftovers(home) == []


def test_a_deleted_bento_takes_its_image_along(home: Home) -> None:
    build(home)
    with Runner(home) as runner:
        runner.answer()
    assert prune(home) == []
    Store(home).delete("bento", "greeter")
    prune(home)
    for folder in (home.images, home.mounted, home.unpacked, home.roots):
        assert list(folder.iterdir()) == []
