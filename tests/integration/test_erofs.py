"""The embeddings example on a node that pulled it: its environment is mounted, not unpacked."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.commands.tour import Embedder
from bentofn.packager.archive import export_bento, import_bento
from bentofn.packager.build import BuildResult
from bentofn.packager.home import Home
from bentofn.packager.roots.mount_probe import can_mount
from bentofn.packager.store import Store

REFUSAL = can_mount("erofs")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(REFUSAL is not None, reason=f"no EROFS here: {REFUSAL}"),
]


@pytest.fixture
def node(example_home: Home, example: BuildResult, tmp_path: Path) -> Iterator[Home]:
    """A home into which the example was imported, and in which nothing is unpacked."""
    archive = tmp_path / "example.tar"
    export_bento(Store(example_home), example.tag, archive)
    home = Home(tmp_path / "node")
    import_bento(Store(home), archive)
    yield home
    daemon.stop(home)


def mounts_of(home: Home) -> list[str]:
    endpoint = daemon.status(home)
    assert endpoint is not None
    lines = Path(f"/proc/{endpoint.pid}/mountinfo").read_text().splitlines()
    return [line.split(" ")[4] for line in lines if f" {home.mounted}/" in line]


def test_a_pulled_bento_runs_from_a_mounted_environment(node: Home, example: BuildResult) -> None:
    adapter = LocalAdapter(node, port=0)
    spec = FunctionSpec("embeddings", example.tag, FunctionSettings(idle_timeout=60))
    embedder = Embedder(adapter.apply(spec, print).url)
    _, truth = embedder.ask()
    (mounted,) = mounts_of(node)
    assert list(Path(mounted).iterdir()) == []  # nobody else sees it
    assert not any(path.name.startswith("env-") for path in node.unpacked.iterdir())

    endpoint = daemon.status(node)
    assert endpoint is not None
    os.kill(endpoint.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while daemon.status(node) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    daemon.ensure_running(node, endpoint.port)
    embedder.ask_checked(truth)
    assert mounts_of(node) == [mounted]

    shutil.rmtree(node.mounted)  # as `rm -rf` of the home would, while the platform runs
    assert mounts_of(node) == []
