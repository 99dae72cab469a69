"""The files of a Lambda environment: all to be read, and a ``/tmp`` of its own to be written."""

from __future__ import annotations

import json
import site
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home
from bentofn.runtime.namespaces import Namespaces

from .test_api import Running

PROBE = """
import os

import bentofn


@bentofn.service
class Words:
    @bentofn.api
    def say(self, word: str) -> dict:
        errors = {}
        root, task = os.environ["BENTOFN_ROOT"], os.environ["LAMBDA_TASK_ROOT"]
        for place in (root, task, "/root", "/dev/shm"):
            try:
                open(os.path.join(place, "written"), "w").close()
            except OSError as error:
                errors[place] = error.errno
        found = os.listdir("/tmp")
        with open("/tmp/" + word, "w") as file:
            file.write(word)
        with open("/dev/null", "w") as file:
            file.write(word)
        size = os.statvfs("/tmp")
        return {
            "errors": sorted(set(errors.values())), "places": len(errors), "found": found,
            "mebi": size.f_blocks * size.f_frsize >> 20,
        }
"""


@pytest.fixture
def running() -> Iterator[Running]:
    if Namespaces.find() is None:
        pytest.skip("an instance has no files of its own for who may not make namespaces")
    if Path(site.getsitepackages()[0]).resolve().is_relative_to("/tmp"):
        pytest.skip("the packages that the bento links to lie below /tmp")
    # A bento below /tmp could not be read by who has a /tmp of its own.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        running = Running(Home(Path(directory) / "home"), Path(directory))
        (running.roots["one"] / "src" / "service.py").write_text(PROBE)
        yield running
        daemon.stop(running.home)


@pytest.mark.parametrize("snapshot", ["none", "auto"])
def test_an_environment_writes_only_into_a_tmp_of_its_own(running: Running, snapshot: Any) -> None:
    settings = FunctionSettings(
        profile="lambda", timeout=20.0, memory=512, scratch=700, snapshot=snapshot
    )
    adapter = LocalAdapter(running.home)

    def say(word: str) -> Any:
        return json.loads(running.say(word)["Payload"].read())

    spec = FunctionSpec("words", str(running.roots["one"]), settings)
    adapter.apply(spec, lambda line: None, wait=False)
    readonly = {"errors": [30], "places": 4, "mebi": 700}
    assert say("first") == {**readonly, "found": []}
    # It is the environment's: the next invocation in it finds what this one left.
    assert say("second") == {**readonly, "found": ["first"]}
    assert not Path("/tmp/first").exists()
