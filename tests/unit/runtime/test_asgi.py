from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

HEAD = """
import asyncio, socket, sys
from bentofn.runtime import asgi
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send(STARTUP)
        await receive()
        print("shutdown", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    print("request", flush=True)
    await asyncio.sleep(SLEEP)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
listener = socket.create_server(("127.0.0.1", 0))
def ready():
    print(listener.getsockname()[1], flush=True)
try:
    asgi.run(asgi.configure(app), listener, ready)
except Exception as error:
    print(type(error).__name__, error, flush=True)
    sys.exit(1)
print("left", flush=True)
"""
COMPLETE = "STARTUP = {'type': 'lifespan.startup.complete'}"
FAILED = "STARTUP = {'type': 'lifespan.startup.failed', 'message': 'no database'}"


def run(*setting: str) -> subprocess.Popen[str]:
    code = "\n".join((*setting, HEAD))
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_the_running_request_finish(signum: signal.Signals) -> None:
    with run(COMPLETE, "SLEEP = 0.5") as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert process.stdout.readline() == "request\n"
            process.send_signal(signum)
            answer = b""
            while piece := client.recv(1000):
                answer += piece
        assert answer.endswith(b"hello\r\n0\r\n\r\n")
        assert process.stdout.read() == "shutdown\nleft\n"
        assert process.wait() == 0


def test_the_server_does_not_advertise_itself() -> None:
    with run(COMPLETE, "SLEEP = 0") as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert answer.read() == b"hello"
            assert "server" not in answer.headers
            assert "date" not in answer.headers
        process.terminate()


def test_a_failed_startup_says_why() -> None:
    with run(FAILED, "SLEEP = 0") as process:
        assert process.stdout is not None
        assert process.stdout.read() == "UserError The service's start-up failed: no database\n"
        assert process.wait() == 1
