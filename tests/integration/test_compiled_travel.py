"""What a bento compiled at its first use goes to a registry with it, and comes where it fits."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from oci_registry import BINARY, running

from bentofn.packager.home import Home
from bentofn.packager.kept.collect import Collected, directory_of
from bentofn.packager.kept.place import keep, kept_place
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.descriptors import COMPILED
from bentofn.packager.store.referrers import referrers
from bentofn.runtime.kept.host import this_host
from bentofn.runtime.kept.layer import Kept, choose
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest, ServiceContract

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="docker-registry is not installed (apt-get install docker-registry)"
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def there(tmp_path: Path) -> Home:
    """Another machine's."""
    return Home(tmp_path / "there")


@pytest.fixture
def entry(home: Home) -> Entry:
    store = Store(home)
    layers = [put_layer(store, [LayerFile("opt/bento/src/s.py", b"")], kind="code", title="code")]
    bento = BentoManifest("encoder", "1", ServiceContract("e", "s:E"), "3.11", "linux/amd64")
    return store.add_bento(bento, layers, datetime(2026, 1, 1, tzinfo=timezone.utc))


def compile_here(home: Home, entry: Entry, kept: Kept, folder: Path) -> None:
    """As a first use does."""
    folder.mkdir()
    (folder / "add.cubin").write_bytes(b"kernel")
    keep(home, entry.digest, Collected(kept, {"triton/KEY/add.cubin": folder / "add.cubin"}))


def compiled(home: Home, entry: Entry) -> set[str]:
    """The kernels that starts of a bento find."""
    place = BentoRoot(materialise(home, entry)).compiled_here
    found, _ = choose((place,), this_host())
    return {path.name for path in found[0].rglob("*.cubin")} if found else set()


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


HERE = Kept(replace(this_host(), gpu="", driver=""), {"triton": "3.7.0"}, {}, what=("add",))
OTHER = replace(HERE, host=replace(HERE.host, machine="riscv64"))


def test_what_fits_comes_with_its_bento_to_who_asks(
    tmp_path: Path, registry: str, bentofn: Bentofn, home: Home, there: Home, entry: Entry
) -> None:
    compile_here(home, entry, HERE, tmp_path / "a")
    compile_here(home, entry, OTHER, tmp_path / "b")
    target = f"{registry}/asked/encoder:1"
    for _ in range(2):
        bentofn("push", "encoder", target, "--compiled", home=home.path)
    assert len(referrers(Store(home), entry.digest, COMPILED)) == 2
    bentofn("pull", target, home=there.path)
    assert compiled(there, entry) == set()
    pulled = bentofn("pull", target, "--compiled", home=there.path)
    assert "What was compiled fits this machine: add." in pulled.stdout
    assert "Left there: what was compiled on riscv64, and this is" in pulled.stdout
    assert compiled(there, entry) == {"add.cubin"}
    assert [path.name for path in kept_place(there, entry.digest).iterdir()] == [
        directory_of(HERE.host)
    ]
    bentofn("delete", "encoder:1", home=there.path)
    assert not kept_place(there, entry.digest).exists()


def test_it_goes_into_a_file_and_out_of_it(
    tmp_path: Path, registry: str, bentofn: Bentofn, home: Home, there: Home, entry: Entry
) -> None:
    compile_here(home, entry, HERE, tmp_path / "a")
    file = str(tmp_path / "encoder.bento")
    bentofn("push", "encoder", f"{registry}/file/encoder:1", "--compiled", home=home.path)
    bentofn("export", "encoder", file, home=home.path)
    imported = document(bentofn("import", file, "--compiled", "--json", home=there.path))
    assert imported["compiled"] == {"taken": [directory_of(HERE.host)], "left": []}
    assert compiled(there, entry) == {"add.cubin"}


def test_a_bento_that_compiled_nothing_says_so(
    registry: str, bentofn: Bentofn, home: Home, entry: Entry
) -> None:
    target = f"{registry}/nothing/encoder:1"
    refused = bentofn("push", "encoder", target, "--compiled", home=home.path, check=False)
    assert refused.returncode == 1
    assert "encoder:1 has compiled nothing on this machine" in refused.stderr


def test_a_damaged_one_is_not_used(
    tmp_path: Path, registry: str, bentofn: Bentofn, home: Home, there: Home, entry: Entry
) -> None:
    compile_here(home, entry, HERE, tmp_path / "a")
    target = f"{registry}/damaged/encoder:1"
    bentofn("push", "encoder", target, "--compiled", home=home.path)
    bentofn("pull", target, "--compiled", home=there.path)
    [referrer] = referrers(Store(there), entry.digest, COMPILED)
    blob = Store(there).blob_path(referrer.layers[1].digest)
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-9] + b"tampered!")
    shutil.rmtree(kept_place(there, entry.digest))
    refused = bentofn("pull", target, "--compiled", home=there.path, check=False)
    assert refused.returncode == 1
    assert "What was compiled of encoder:1 is damaged" in refused.stderr
    assert compiled(there, entry) == set()
    bentofn("pull", target, "--compiled", home=there.path)
    assert compiled(there, entry) == {"add.cubin"}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_key_covers_it(
    tmp_path: Path, registry: str, bentofn: Bentofn, home: Home, there: Home, entry: Entry
) -> None:
    private, public = str(tmp_path / "key.pem"), str(tmp_path / "pub.pem")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    compile_here(home, entry, HERE, tmp_path / "a")
    target = f"{registry}/signed/encoder:1"
    push = ("push", "encoder", target, "--compiled")
    pull = ("pull", target, "--compiled", "--verify-key", public, "--json")
    bentofn("sign", "encoder", "--key", private, home=home.path)
    assert "No signature of it covers what was compiled" in bentofn(*push, home=home.path).stderr
    assert document(bentofn(*pull, home=there.path))["compiled"] == {"taken": [], "left": []}
    bentofn("sign", "encoder", "--key", private, home=home.path)
    assert "No signature" not in bentofn(*push, home=home.path).stderr
    pulled = document(bentofn(*pull, home=there.path))
    assert pulled["compiled"]["taken"] == [directory_of(HERE.host)]
    assert compiled(there, entry) == {"add.cubin"}
