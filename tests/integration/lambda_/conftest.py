"""Environments of plain folders, run by the unmodified awslambdaric."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awslambdaric
import pytest

from bentofn.adapters.local.isolation.policy import UNLIMITED, Isolation
from bentofn.adapters.local.lambda_.configuration import Configuration
from bentofn.adapters.local.lambda_.environment import INIT_TIMEOUT, LambdaEnvironment
from bentofn.adapters.local.lambda_.invocation import Invocation, InvocationResult
from bentofn.adapters.local.lambda_.setup import Setup, folder_setup
from bentofn.adapters.local.lambda_.snapstart import SnapStart

CLIENT = Path(awslambdaric.__file__).parent.parent
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass
class Lambda:
    """One environment of a function, and what it has logged.

    Args:
        environment: It.
        folder: Its code.
        setup: What it was made with.
        lines: Instance, stream, line and request.
        snapshots: Where it is restored from, if it is.
    """

    environment: LambdaEnvironment
    folder: Path
    setup: Setup
    lines: list[tuple[str, str, str, str]] = field(default_factory=list)
    snapshots: SnapStart | None = None

    async def __call__(
        self, event: Any = None, *, timeout: float | None = None, **more: Any
    ) -> InvocationResult:
        patience = self.setup.function.timeout if timeout is None else timeout
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        return await self.environment.invoke(
            Invocation(str(uuid.uuid4()), body, time.time() + patience, **more)
        )

    async def value(self, event: Any = None, **more: Any) -> Any:
        """What the function returns."""
        result = await self(event, **more)
        assert result.function_error is None, result.payload
        return json.loads(result.payload)

    async def error(self, event: Any = None, **more: Any) -> dict[str, Any]:
        """What the function fails with."""
        result = await self(event, **more)
        assert result.function_error == "Unhandled"
        found = json.loads(result.payload)
        assert isinstance(found, dict)
        return found

    def log(self, stream: str | None = None) -> list[str]:
        """Its lines, or those of one stream."""
        return [line for _, found, line, _ in self.lines if stream in (None, found)]


Make = Callable[..., Any]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Makes an environment of a handler's source; it is ready when it is given."""
    made: list[Lambda] = []

    async def make(
        source: str,
        *,
        isolation: Isolation = UNLIMITED,
        handler: str = "app.handler",
        init_timeout: float = INIT_TIMEOUT,
        **more: Any,
    ) -> Lambda:
        folder = tmp_path / f"function{len(made)}"
        folder.mkdir()
        (folder / "app.py").write_text(textwrap.dedent(source))
        settings = {"timeout": 10.0, "python": PYTHON, **more}
        function = Configuration("greet", handler, **settings)
        lines: list[tuple[str, str, str, str]] = []
        setup = folder_setup(
            function,
            folder,
            CLIENT,
            Path(sys.executable),
            lambda *line, request="": lines.append((*line, request)[:4]),
            isolation,
        )
        snapshots = SnapStart(setup) if function.snap_start else None
        take = snapshots.take if snapshots is not None else None
        environment = LambdaEnvironment(setup, "greet-1", take, init_timeout)
        made.append(Lambda(environment, folder, setup, lines, snapshots))
        await environment.ready()
        return made[-1]

    yield make
    for each in made:
        await each.environment.stop(0.0)
        if each.snapshots is not None:
            await each.snapshots.close()


@pytest.fixture(scope="module")
def generate(sam: Path) -> Callable[..., dict[str, Any]]:
    """What ``sam local generate-event SERVICE TYPE`` prints."""

    def generate(service: str, kind: str, **values: str) -> dict[str, Any]:
        code = (
            "import json, sys; from samcli.lib.generated_sample_events.events import Events; "
            "print(Events().generate_event(*json.loads(sys.argv[1])))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps([service, kind, values])],
            cwd=sam,
            capture_output=True,
            text=True,
            check=True,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return generate
