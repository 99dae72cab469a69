"""The embeddings example out of the registry that most others are made from."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from instances import eventually

from bentofn.adapters.local import daemon
from bentofn.commands.init import write_template
from bentofn.packager.build import BuildOptions, BuildResult, build
from bentofn.packager.home import Home
from bentofn.packager.roots.mount_probe import can_mount

BINARY = shutil.which("docker-registry") or shutil.which("registry")
REASON = can_mount("fuse")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(REASON is not None, reason=f"FUSE cannot be mounted: {REASON}"),
    pytest.mark.skipif(
        BINARY is None, reason="docker-registry is not installed (apt-get install docker-registry)"
    ),
]
Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

GZIP_IMAGE = 311_000_000
"""Bytes of a gzip image of the same packages as installed, with the weights; see
docs/lazy-pull.md."""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "data")}},
        "http": {"addr": address},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))  # JSON is YAML
    command = [str(BINARY), "serve", str(tmp_path / "config.json")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(f"http://{address}/v2/")
            yield address
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 30
    while True:
        try:
            with opener.open(url, timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_cold_machine_answers_after_a_quarter(
    example: BuildResult, example_home: Home, registry: str, node: Home, bentofn: Bentofn
) -> None:
    project = node.path.with_name("embeddings")
    write_template("embeddings", project)
    built = build(project, example_home, BuildOptions(slim="traced"), print)
    assert built.warnings == ()
    bentofn("push", built.tag, f"{registry}/me/embeddings:1", home=example_home.path)
    bentofn("pull", "--lazy", f"{registry}/me/embeddings:1", home=node.path)
    daemon.start(node, 0)
    bentofn("deploy", built.tag, "--target", "local", home=node.path)
    texts = json.dumps({"texts": ["A man is eating.", "Someone has lunch.", "It rains."]})
    answer = np.array(json.loads(bentofn("invoke", "embeddings", texts, home=node.path).stdout))
    assert np.allclose(np.linalg.norm(answer, axis=1), 1)
    assert answer[0] @ answer[1] > answer[0] @ answer[2]

    def fetched() -> int | None:  # counted by another process, which hears of the answer later
        got = json.loads(bentofn("get", built.tag, "--json", home=node.path).stdout)
        first: int | None = got["fetched_before_first_answer"]
        return first

    assert eventually(fetched) <= GZIP_IMAGE / 4
