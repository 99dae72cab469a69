from __future__ import annotations

import socket
import subprocess
import sys
import threading

import pytest

from bentofn.runtime import lifeline

BUSY = """
import socket, sys, time
from bentofn.runtime import lifeline
with lifeline.Watch(socket.socket(fileno=int(sys.argv[1]))):
    print("busy", flush=True)
    time.sleep(60)
"""

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", '''
import time
from bentofn.runtime import lifeline
lifeline.die_with_parent()
print("armed", flush=True)
time.sleep(60)
'''])
child.wait()
"""


def test_a_busy_process_ends_with_the_platform() -> None:
    ours, theirs = socket.socketpair()
    with (
        theirs,
        subprocess.Popen(
            [sys.executable, "-c", BUSY, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"
        theirs.close()
        assert process.poll() is None
        ours.close()
        assert process.wait(10) == 1


def test_a_message_is_not_taken_for_the_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with lifeline.Watch(theirs):
            ours.send(b"hello")
        assert theirs.recv(10) == b"hello"
        lifeline.check(theirs)


def test_the_watch_leaves_no_thread() -> None:
    before = threading.active_count()
    ours, theirs = socket.socketpair()
    with ours, theirs, lifeline.Watch(theirs):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_linux_kills_a_child_whose_parent_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"armed\n"
        parent.kill()
        # The child holds the pipe: its end of file is the child's end.
        assert parent.stdout.read() == b""


FORKING = """
import os, signal, socket, sys
from bentofn.runtime import lifeline
with lifeline.Watch(socket.socket(fileno=int(sys.argv[1]))):
    child = os.fork()
    if child == 0:
        signal.pause()
print("left", flush=True)
os.kill(child, signal.SIGKILL)
"""


def test_the_watch_ends_though_a_child_was_forked_meanwhile() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [sys.executable, "-c", FORKING, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
            timeout=30,
        )
    assert done.stdout == b"left\n"
