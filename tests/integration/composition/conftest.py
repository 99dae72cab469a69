"""The example of several services, and a platform for it."""

from __future__ import annotations

import shutil
import site
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import bentofn
from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.packager.home import Home
from bentofn.runtime.contract import describe
from bentofn.runtime.loading import load_service
from bentofn.runtime.manifest import BentoManifest

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "composition"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as it is unpacked, made of links."""
    directory = tmp_path_factory.mktemp("composition") / "root"
    shutil.copytree(EXAMPLE, directory / "src")
    package = directory / "runtime" / "bentofn"
    package.mkdir(parents=True)
    for part in ("__init__.py", "models.py", "exceptions.py", "runtime"):
        (package / part).symlink_to((Path(bentofn.__path__[0]) / part).resolve())
    (directory / "env").mkdir()
    for entry in Path(site.getsitepackages()[0]).iterdir():
        if entry.suffix != ".pth" and "bentofn" not in entry.name:
            (directory / "env" / entry.name).symlink_to(entry)
    before = list(sys.path)
    contract = describe(load_service("service:Reviews", directory / "src"))
    sys.path[:] = before
    manifest = BentoManifest(
        name="reviews",
        version="1",
        contract=contract,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        platform="linux/amd64",
    )
    (directory / "bento.json").write_bytes(manifest.to_json())
    return directory


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalAdapter]:
    # The same on every host; snapshots have tests of their own.
    monkeypatch.setenv("BENTOFN_CRIU", "/nowhere/criu")
    with tempfile.TemporaryDirectory() as directory:
        home = Home(Path(directory) / "home")
        yield LocalAdapter(home, port=0)
        daemon.stop(home)
