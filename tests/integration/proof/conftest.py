"""One bento whose service draws, grows, leaves processes and spies."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator

import pytest
from proving import PROJECT, Deployed

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.packager.home import Home

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="package")
def built(tmp_path_factory: pytest.TempPathFactory, bentofn: Bentofn) -> Home:
    folder = tmp_path_factory.mktemp("proof")
    (project := folder / "project").mkdir()
    for name, text in PROJECT.items():
        (project / name).write_text(text)
    bentofn("build", str(project), home=folder / "home")
    return Home(folder / "home")


@pytest.fixture
def deployed(built: Home) -> Iterator[Deployed]:
    function = Deployed(built, LocalAdapter(built, port=0))
    yield function
    with contextlib.suppress(Exception):
        function.adapter.destroy("proof")
    daemon.stop(built)
