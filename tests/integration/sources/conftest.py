"""A hub of our own, and the real client set up for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from model_hub import Hub, running_hub

from bentofn.packager.home import Home
from bentofn.packager.store import Store

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Home(tmp_path / "home"))


@pytest.fixture
def run(hub: Hub, tmp_path: Path) -> Run:
    """Runs the command ``bentofn`` against the hub: huggingface_hub reads its settings once."""

    def run(
        *arguments: str, check: bool = True, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        done = subprocess.run(
            [sys.executable, "-m", "bentofn", *arguments],
            env={
                **kept,
                "BENTOFN_HOME": str(tmp_path / "home"),
                "HF_HOME": str(tmp_path / "hf"),
                "HF_ENDPOINT": hub.url,
                "HF_HUB_DISABLE_XET": "1",
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run
