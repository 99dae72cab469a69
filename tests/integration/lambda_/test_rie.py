"""AWS's runtime interface emulator beside our environments: one handler, one event, one answer.

It ships in the wheel of aws-sam-cli, which is fetched with pip; where that cannot be had, the tests
are skipped.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import awslambdaric
import httpx
import pytest

PATH = "/2015-03-31/functions/function/invocations"

HANDLER = """
import ctypes, os, sys, time

def handler(event, context):
    match event:
        case {"return": value}: return value
        case "raise": raise KeyError("no such ö")
        case "generator": return (n for n in range(3))
        case "object": return object()
        case "bytes": return b"raw"
        case "nan": return float("nan")
        case {"long": count}: return "x" * count
        case {"exit": status}: os._exit(status)
        case "sys.exit": sys.exit(4)
        case "fault": ctypes.string_at(0)
        case "print": print("out"); return "printed"
        case "context":
            return [
                context.function_name, context.function_version, context.memory_limit_in_mb,
                context.invoked_function_arn.rpartition(":")[2], context.client_context.custom,
                len(context.aws_request_id), context.get_remaining_time_in_millis() > 0,
                context.log_group_name,
            ]
"""
EVENTS = [
    {"return": {"a": [1, 2.5, None, True, "ü\u2028🚀"]}},
    {"return": "text"},
    {"return": None},
    "raise",
    "generator",
    "object",
    "bytes",
    "nan",
    {"long": 6_000_000},
    {"long": 6_300_000},
    {"exit": 3},
    {"exit": 0},
    "sys.exit",
    "fault",
    "print",
    "context",
    {"return": "still here"},
]

Emulate = Callable[[Path, str], str]


@pytest.fixture
def emulate(rie: Path) -> Iterator[Emulate]:
    """Runs the emulator with a folder's handler; gives its address."""
    running: list[subprocess.Popen[bytes]] = []

    def emulate(folder: Path, handler: str) -> str:
        address, api = (f"127.0.0.1:{free_port()}" for _ in range(2))
        command = [
            *(str(rie), "--runtime-interface-emulator-address", address),
            *("--runtime-api-address", api, sys.executable, "-m", "awslambdaric", handler),
        ]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(
                [str(folder), str(Path(awslambdaric.__file__).parents[1])]
            ),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_LAMBDA_FUNCTION_NAME": "greet",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "10",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/greet",
        }
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        running.append(process)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0:
                    return f"http://{address}"
            time.sleep(0.02)
        raise AssertionError("the emulator does not listen")

    yield emulate
    for process in running:
        os.killpg(process.pid, 9)
        process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def masked(body: bytes) -> str:
    """An answer without what differs each time."""
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", body.decode())


async def both(make: Any, emulate: Emulate, source: str, events: list[Any]) -> None:
    """Have both answer the events, and compare."""
    ours = await make(source)
    url = emulate(ours.folder, "app.handler")
    context = json.dumps({"custom": {"k": "v"}}).encode()
    headers = {"X-Amz-Client-Context": base64.b64encode(context).decode()}
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        for event in events:
            content = json.dumps(event).encode()
            theirs = await client.post(url + PATH, content=content, headers=headers)
            result = await ours(event, client_context=context)
            assert masked(result.payload) == masked(theirs.content), event


async def test_every_event_has_the_same_answer(make: Any, emulate: Emulate) -> None:
    await both(make, emulate, HANDLER, EVENTS)


@pytest.mark.parametrize(
    "source",
    [
        "import nowhere\n",
        "this is no python\n",
        "raise ValueError('at once')\n",
        "other = 1\n",
    ],
    ids=["import", "syntax", "raise", "absent"],
)
async def test_what_does_not_start_says_the_same(make: Any, emulate: Emulate, source: str) -> None:
    # Of one that exits in its start the emulator says nothing at all.
    await both(make, emulate, source, ["one", "two"])
