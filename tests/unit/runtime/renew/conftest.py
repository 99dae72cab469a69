"""Forks of the test's own process, each of which answers what it is asked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

Forks = Callable[..., list[Any]]


@pytest.fixture
def forks() -> Forks:
    """Calls a function in some forks, two by default; returns what each has returned, from JSON."""

    def run(call: Callable[[], object], count: int = 2) -> list[Any]:
        return [_in_fork(call) for _ in range(count)]

    return run


def _in_fork(call: Callable[[], object]) -> Any:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, json.dumps(call()).encode())
        except BaseException as error:
            os.write(write, json.dumps(f"{type(error).__name__}: {error}").encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        data = answer.read()
    os.waitpid(pid, 0)
    return json.loads(data)
