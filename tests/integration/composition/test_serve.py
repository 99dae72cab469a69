"""``bentofn serve`` of a bento's several services, each in processes of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

import bentofn
from bentofn.runtime.errors import BentoMLException
from tests.integration.composition.serving import PATIENCE, Served, serving, wait_for

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "composition"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def test_the_example_runs_in_sequence_in_parallel_and_over_a_death(tmp_path: Path) -> None:
    with serving(str(EXAMPLE), LOG=str(tmp_path / "log")) as served:
        texts = ["Great soup but slow", "best best", "awful"]

        def ask() -> object:
            return served.post("/review", texts=texts).json()

        assert ask() == {"moods": [0.0, 1.0, -1.0]}
        assert served.post("/common", text="a b a").json() == [["a", 2], ["b", 1]]
        refused = served.post("/common", text=" ")
        assert (refused.status_code, refused.json()) == (400, [{"error": "The text is empty."}])
        stream = served.post("/explain", text="fresh but cold")
        assert stream.text == "fresh is good\ncold is bad\n"

        asyncio.run(_ask_as_a_service_at_a_url(served.url))

        for victim in _workers(served):
            os.kill(victim, signal.SIGKILL)
            assert ask() == {"moods": [0.0, 1.0, -1.0]}

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: ask(), range(32)))
        assert all(each == {"moods": [0.0, 1.0, -1.0]} for each in answers)


def test_the_workers_of_a_service_are_forked_from_one_warmed_parent(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        """
import os
import bentofn

print("imported", flush=True)

@bentofn.service(workers=3, traffic={"max_concurrency": 7})
class Many:
    def __init__(self):
        print("made", flush=True)
        self.index = None

    @bentofn.on_startup
    def begin(self):
        self.index = bentofn.server_context.worker_index

    @bentofn.api
    def who(self) -> tuple[int, int]:
        return os.getpid(), self.index
"""
    )
    log = tmp_path / "log"
    with serving("app:Many", "--working-dir", str(tmp_path), LOG=str(log)) as served:
        assert log.read_text().count("made") == 1
        assert log.read_text().count("imported") == 1
        (workers,) = served.processes().values()
        assert len(workers) == 3
        with ThreadPoolExecutor(16) as pool:
            answers = [
                each.json()
                for each in pool.map(lambda _: served.post("/who"), range(64))
                if each.status_code == 200
            ]
        assert {pid for pid, _ in answers} <= set(workers)
        assert {index for _, index in answers} <= {1, 2, 3}

        total = 0.0
        for line in httpx.get(f"{served.url}/metrics").text.splitlines():
            if line.startswith("bentoml_service_request_total{"):
                total += float(line.split()[-1])
        assert total == len(answers)


def test_what_cannot_be_forked_is_started_worker_by_worker(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        """
import os, threading, time
import bentofn

threading.Thread(target=time.sleep, args=(600,), daemon=True).start()

@bentofn.service(workers=2)
class Other:
    @bentofn.api
    def who(self) -> int:
        return os.getpid()

@bentofn.service
class Entry:
    other = bentofn.depends(Other)

    @bentofn.api
    def who(self) -> int:
        return self.other.who()
"""
    )
    log = tmp_path / "log"
    with serving("app:Entry", "--working-dir", str(tmp_path), LOG=str(log)) as served:
        assert served.post("/who").json() in served.processes()
        assert "The workers of Other are started one by one: " in log.read_text()


def test_a_service_that_does_not_start_ends_it_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        """
import bentofn

@bentofn.service
class Broken:
    def __init__(self):
        raise OSError("no weights")

@bentofn.service
class Entry:
    broken = bentofn.depends(Broken)
"""
    )
    done = subprocess.run(
        [sys.executable, "-m", "bentofn", "serve", "app:Entry", "--port", "0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert re.search(r"Error: Broken does not start: OSError: no weights", done.stderr)


def test_a_start_that_fails_while_readiness_is_asked_ends_at_once_with_its_sentence(
    tmp_path: Path,
) -> None:
    (tmp_path / "app.py").write_text(
        """
import time
from pathlib import Path

import bentofn

ASKED = Path("asked")

@bentofn.service
class Broken:
    def __init__(self):
        while not ASKED.exists():
            time.sleep(0.01)
        raise OSError("no weights")

@bentofn.service
class Entry:
    broken = bentofn.depends(Broken)

    def __is_ready__(self):
        ASKED.touch()
        return True
"""
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bentofn", "serve", "app:Entry", "--port", str(port)],
            cwd=tmp_path,
            stderr=output,
        )
    answer = wait_for(lambda: ask_readiness(port), process, log)
    assert process.wait(PATIENCE) == 1
    assert answer.status_code == 503
    told = log.read_text()
    assert told.splitlines()[-1].startswith("Error: Broken does not start: OSError: no weights")
    assert "ancelled" not in told


def ask_readiness(port: int) -> httpx.Response | None:
    with suppress(httpx.ConnectError):
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE)
    return None


def test_what_else_is_written_to_the_workers_pipe_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        """
import os
import bentofn

@bentofn.service(workers=2)
class Careless:
    @bentofn.on_startup
    def begin(self):
        for fd in range(3, 64):
            try:
                if os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
                    os.write(fd, b"not a report\\n")
            except OSError:
                pass

    @bentofn.api
    def ask(self) -> str:
        return "answered"
"""
    )
    log = tmp_path / "log"
    with serving("app:Careless", "--working-dir", str(tmp_path), LOG=str(log)) as served:
        assert served.post("/ask").text == "answered"
        assert "Not a report of a worker: not a report" in log.read_text()


async def _ask_as_a_service_at_a_url(url: str) -> None:
    @bentofn.service
    class Caller:
        far = bentofn.depends(url=url)

    far: Any = Caller().far
    assert await far.is_ready()
    assert await asyncio.to_thread(far.to_sync.common, text="a b a") == [["a", 2], ["b", 1]]
    moods = await asyncio.gather(*(far.to_async.review(texts=[each]) for each in ("best", "bad")))
    assert moods == [{"moods": [1.0]}, {"moods": [-1.0]}]
    lines = [line async for line in far.to_async.explain(text="fresh but cold")]
    assert "".join(lines) == "fresh is good\ncold is bad\n"
    assert far.client_url == url
    with pytest.raises(bentofn.exceptions.InvalidArgument, match="The text is empty"):
        await far.to_async.common(text=" ")
    with pytest.raises(BentoMLException, match="not callable when the service is not provided"):
        far.call("common", text="a")


def _workers(served: Served) -> list[int]:
    """Every process that answers requests."""
    return [each for child, own in served.processes().items() for each in own or [child]]
