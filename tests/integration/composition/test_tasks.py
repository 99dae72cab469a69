"""A deployed service submits the tasks of one that it depends on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from otlp import Receiver

from bentofn import SyncHTTPClient
from bentofn.adapters.local import daemon
from bentofn.packager.home import Home
from tests.unit.runtime.proxy.serving import soon

SERVICES = """
import bentoml


@bentoml.service
class Worker:
    @bentoml.task
    def double(self, n: int) -> int:
        return 2 * n


@bentoml.service
class Front:
    worker = bentoml.depends(Worker)

    @bentoml.api
    def start(self, n: int) -> str:
        return self.worker.double.submit(n=n).id

    @bentoml.api
    async def look(self, task: str) -> list:
        double = self.worker.to_async.double
        status = (await double.get_status(task)).value
        return [status, await double.get(task) if status == "completed" else None]
"""


@pytest.mark.slow
def test_on_the_local_platform(
    bentofn: Callable[..., CompletedProcess[str]], tmp_path: Path, receiver: Receiver
) -> None:
    home = Home(tmp_path / "home")
    (tmp_path / "apart.py").write_text(SERVICES)
    (tmp_path / "requirements.txt").write_text("httpx\n")

    def run(*arguments: str) -> str:
        return bentofn(*arguments, home=home.path, cwd=tmp_path).stdout

    tag = json.loads(run("build", "apart.py:Front", "--json"))["tag"]
    try:
        run("emulator", "start", "--port", "0")
        run("deploy", tag)
        (status,) = json.loads(run("status", "--json"))
        with SyncHTTPClient(status["url"], timeout=60) as client:
            task = client.start(n=21)
            assert soon(lambda: client.look(task=task) == ["completed", 42])
        assert (home.tasks / "front.Worker.db").is_file()
        run("destroy", status["name"])
        assert not list(home.tasks.glob("*.db"))
    finally:
        daemon.stop(home)

    # The task, which ran later, belongs to the trace of the request that it was submitted in.
    spans = {span.id: span for span in receiver.spans}
    (ran,) = [span for span in spans.values() if span.attributes.get("url.path") == "/double"]
    way = [span := ran]
    while span.parent:
        span = spans[span.parent]
        way.append(span)
    told = [span.attributes.get("url.path", span.name) for span in way]
    assert told == ["/double", "/double/submit", "inference", "/start"]
