from __future__ import annotations

import subprocess
import sys

import pytest

from bentofn.runtime.obstacles import Sites, forks


def why_not_fork() -> str | None:
    return forks.why_not_fork([], Sites())


THREADED = """
import threading
from bentofn.runtime.obstacles import Sites, forks
stop = threading.Event()
worker = threading.Thread(target=stop.wait, name="prefetcher")
worker.start()
reason = forks.why_not_fork([], Sites())
stop.set()
worker.join()
assert "prefetcher" in reason, reason
assert "in a method marked @bentofn.after_restore" in reason, reason
assert forks.why_not_fork([], Sites()) is None
"""


PARENT = """
import re, subprocess
from bentofn.runtime.obstacles import Sites, forks
child = subprocess.Popen(["sleep", "60"])
reason = forks.why_not_fork([], Sites()) or ""
child.kill()
assert re.search("child process.*sleep", reason), reason
# Not waited for yet: once it has ended, it is no child any more.
while "sleep" in (forks.why_not_fork([], Sites()) or ""):
    pass
child.wait()
"""


def run_alone(code: str) -> None:
    """Run it in a process of its own: of much that the tests' process has, only part is named."""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_threads_are_named_in_the_refusal() -> None:
    run_alone(THREADED)


@pytest.mark.skipif(sys.platform != "linux", reason="children are listed by Linux only")
def test_a_living_child_is_named_and_an_ended_one_is_not() -> None:
    run_alone(PARENT)


CONNECTED = """
import socket
from bentofn.runtime.obstacles import Sites, forks
with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)):
        reason = forks.why_not_fork([], Sites())
assert f"127.0.0.1:{port}" in reason, reason
assert "a listening socket" in reason, reason
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as metrics:
    metrics.connect(("127.0.0.1", port))
    assert forks.why_not_fork([], Sites()) is None
"""


def test_connections_are_named_and_datagrams_let_pass() -> None:
    run_alone(CONNECTED)
