"""One home in which the embeddings example is built, shared by the tests that need it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bentofn.adapters.local import daemon
from bentofn.commands.demo import build_example, import_weights
from bentofn.packager.build import BuildResult
from bentofn.packager.home import Home

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def example_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with the model imported; its platform is stopped at the end."""
    home = Home(tmp_path_factory.mktemp("example") / "home")
    import_weights(home, print)
    yield home
    daemon.stop(home)


@pytest.fixture(scope="session")
def example(example_home: Home) -> BuildResult:
    """The embeddings example, built."""
    return build_example(example_home, print)


@pytest.fixture(scope="session")
def bentofn() -> Bentofn:
    """Runs the command ``bentofn`` in a process of its own, on a given home."""

    def run(
        *arguments: str, home: Path, cwd: Path | None = None, check: bool = True, **variables: str
    ):  # type: ignore[no-untyped-def]
        environment = {**os.environ, "BENTOFN_HOME": str(home), **variables}
        done = subprocess.run(
            [sys.executable, "-m", "bentofn", *arguments],
            env=environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run
