"""A service whose container is checkpointed from outside: each that goes on is one of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Container, Runc, ask, free_port, wait_for, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

End = Callable[[Container], Container]

START = ["construct", "before_snapshot", "after_restore", "on_startup"]
"""What runs up to the first request; of a service that waits, the last two after its restore."""


@pytest.mark.parametrize("how", ["waiting_for_it", "while_it_serves", "while_workers_serve"])
def test_restored_containers_throw_other_dice(
    runc: Runc, ended: End, project: Path, how: str
) -> None:
    port, waits = free_port(), how == "waiting_for_it"
    command = [sys.executable, "-m", "bentofn", "serve", str(project), "--port", str(port)]
    env = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/run"}
    if waits:
        env["BENTOFN_CHECKPOINT"] = "/run/ready"
    if how == "while_workers_serve":
        code = project / "service.py"
        code.write_text(code.read_text().replace("service\n", "service(workers=2)\n", 1))
    original = ended(runc.run(command, env, io_uring=waits))
    original.say("Waiting to be checkpointed" if waits else "serves at")
    runc.checkpoint(original)
    thrown: list[float] = []
    for name in ("first", "second"):
        copy = ended(runc.restore(name))
        wait_for(port)
        for _ in range(4):
            told = ask(port, "throw", b"{}")
            assert told["seen"] == [*START, "after_restore"][: 4 if waits else 5]
            thrown += told["thrown"]
        copy.end()
    assert len(set(thrown)) == len(thrown)
