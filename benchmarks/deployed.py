"""Functions of the local platform as a caller sees them: asked at zero, answers checked."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from services import Subject, report

from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec, Snapshot
from bentofn.commands.tour import wait_for_zero
from bentofn.packager.build import BuildOptions, build
from bentofn.packager.home import Home

IDLE_TIMEOUT = 0.5  # seconds
TIMEOUT = 120.0
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Reply:
    """An answer.

    Args:
        milliseconds: From connecting to the whole, decoded answer.
        start: What kind of start it came from: ``cold``, ``restored`` or ``warm``.
        value: The answer.
    """

    milliseconds: float
    start: str
    value: Any


@dataclass(frozen=True)
class Deployed:
    """A function that is deployed.

    Args:
        adapter: The platform.
        name: The function.
        subject: What it serves.
        url: Where.
    """

    adapter: LocalAdapter
    name: str
    subject: Subject
    url: str

    def ask(self) -> Reply:
        """Call it once.

        Raises:
            SystemExit: It answered with an error.
        """
        at = urlsplit(self.url)
        path, body = self.subject.request
        encoded = json.dumps(body)
        began = time.perf_counter()
        connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=TIMEOUT)
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"{at.path.rstrip('/')}/{path}", encoded, headers)
            response = connection.getresponse()
            payload = response.read()
            if response.status != 200:
                raise SystemExit(f"{self.name} answered {response.status}: {payload[:300]!r}")
            is_json = response.headers.get_content_type() == "application/json"
            value = json.loads(payload) if is_json else payload.decode()
            elapsed = (time.perf_counter() - began) * 1000
            return Reply(elapsed, response.headers["X-Bentofn-Start"], value)

    def first_reply(self, truth: Any, start: str) -> float:
        """Milliseconds from a request to the function at zero to its right answer.

        Args:
            truth: The answer.
            start: What kind of start it must come from.

        Raises:
            SystemExit: The answer is wrong, or the start is another.
        """
        wait_for_zero(self.adapter, self.name)
        reply = self.ask()
        self.check(reply, truth, start)
        return reply.milliseconds

    def check(self, reply: Reply, truth: Any, start: str) -> None:
        """Make sure that an answer is right and came from the right kind of start."""
        if reply.start != start:
            raise SystemExit(f"{self.name} answered from a {reply.start} start, not {start}")
        exact = isinstance(truth, str)
        right = reply.value == truth or (
            not exact and np.allclose(reply.value, truth, atol=TOLERANCE)
        )
        if not right:
            raise SystemExit(f"{self.name} answered {reply.value!r}, not {truth!r}")

    def ask_at_once(self, count: int) -> list[Reply]:
        """Call it so many times at once."""
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _: self.ask(), range(count)))

    def remove(self) -> None:
        """Take it away."""
        self.adapter.destroy(self.name)


@dataclass(frozen=True)
class Deployer:
    """Builds subjects and deploys them to a platform of a home of its own.

    Args:
        home: The home.
        adapter: Its platform.
        folder: Where projects are written.
    """

    home: Home
    adapter: LocalAdapter
    folder: Path

    def build(self, subject: Subject) -> str:
        """The tag of a subject's bento."""
        project = self.folder / subject.name
        if not project.exists():
            subject.weigh(self.home)
            subject.write(project)
        return build(project, self.home, BuildOptions(), report).tag

    def deploy(
        self, subject: Subject, snapshot: Snapshot, idle_timeout: float = IDLE_TIMEOUT
    ) -> Deployed:
        """Deploy a subject, its instance started one way, and wait until that is prepared."""
        name = f"{subject.name}-{snapshot}"
        settings = FunctionSettings(idle_timeout=idle_timeout, max_instances=1, snapshot=snapshot)
        spec = FunctionSpec(name, self.build(subject), settings)
        url = self.adapter.apply(spec, report).url
        return Deployed(self.adapter, name, subject, url)
