"""A bento that is disturbed."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import awslambdaric
import pytest
from instances import PYTHON, make_root

from bentofn.packager.home import Home
from bentofn.runtime.manifest import APIContract, BentoManifest

SERVICE = """
import os
import time

import bentofn


@bentofn.service
class Notes:
    @bentofn.api
    def say(self, word: str = "hello") -> str:
        print("somebody said", word, flush=True)
        return word

    @bentofn.api
    def note(self, file: str) -> None:
        with open(file, "a") as opened:
            opened.write("noted" + os.linesep)

    @bentofn.api
    def wait(self, gate: str) -> str:
        while not os.path.exists(gate):
            time.sleep(0.01)
        return "through"

    @bentofn.api(batchable=True, max_batch_size=16, max_latency_ms=60_000)
    def waits(self, gates: list[str]) -> list[int]:
        for gate in gates:
            self.wait(gate)
        return [len(gates)] * len(gates)
"""


@pytest.fixture(scope="module", autouse=True)
def user_home() -> Iterator[Home]:
    """The home in which projects are built, with Lambda's client from this environment."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        home = Home(Path(folder))
        patch.setenv("BENTOFN_HOME", folder)
        client = home.directory(home.cache) / "aws-lambda" / f"python{PYTHON}"
        client.parent.mkdir()
        client.symlink_to(Path(awslambdaric.__file__).parent.parent)
        yield home


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its root."""
    root = make_root(tmp_path_factory.mktemp("notes") / "root", SERVICE, "Notes")
    manifest = BentoManifest.read(root / "bento.json")
    text = {"type": "string"}
    apis = tuple(
        APIContract(name, f"/{name}", {"type": "object", "properties": {parameter: text}}, text)
        for name, parameter in (("note", "file"), ("say", "word"), ("wait", "gate"))
    )
    contract = dataclasses.replace(manifest.contract, apis=apis)
    whole = dataclasses.replace(manifest, name="notes", contract=contract)
    (root / "bento.json").write_bytes(whole.to_json())
    return root
