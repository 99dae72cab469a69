"""A full disk: one sentence, and nothing half-written that is later taken for whole."""

import subprocess
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from bentofn.packager.home import Home, leftovers
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.modelstore import import_model
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract

SMALL = 1 << 20


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        yield Home(disk / "home")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_file_that_does_not_fit(home: Home, tmp_path: Path) -> None:
    store = Store(home)
    (tmp_path / "big").write_bytes(bytes(2 * SMALL))
    with pytest.raises(UserError, match=r"full.*BENTOFN_HOME"):
        store.put_file(tmp_path / "big", "m")
    with pytest.raises(UserError, match="full"):
        store.put_bytes(bytes(2 * SMALL), "m")
    with pytest.raises(UserError, match="full"):
        import_model(store, tmp_path / "big", "big")
    files = [LayerFile("opt/bento/src/big", tmp_path / "big")]
    with pytest.raises(UserError, match="full"):
        put_layer(store, files, kind="code", title="code", compression="none")
    assert list(store.blobs.directory.iterdir()) == []
    assert leftovers(home) == []
    assert store.put_bytes(b"small", "m").size == 5


def test_a_bento_that_does_not_fit_unpacked(home: Home) -> None:
    store = Store(home)
    files = [LayerFile("opt/bento/src/big", bytes(2 * SMALL))]
    layer = put_layer(store, files, kind="code", title="code")
    bento = BentoManifest("big", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    entry = store.add_bento(bento, [layer], datetime.now(timezone.utc))
    with pytest.raises(UserError, match="full"):
        materialise(home, entry)
    assert store.has(layer.digest)
    assert [tree for tree in home.unpacked.iterdir() if not tree.name.startswith("env")] == []
    assert leftovers(home) == []
