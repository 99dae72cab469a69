from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from bentofn.runtime.parking import TICK, System, park
from bentofn.runtime.protocol import Restore, encode


def test_a_parked_process_wakes_when_its_wire_has_become_a_socket(tmp_path: Path) -> None:
    wire = os.open(tmp_path / "wire", os.O_RDWR | os.O_CREAT)
    ours, theirs = socket.socketpair()
    waits: list[tuple[object, ...]] = []

    def restored_at_the_third_wait(*arguments: object) -> None:
        waits.append(arguments)
        if len(waits) == 3:
            os.dup2(theirs.fileno(), wire)

    found = System.find()
    channel = park(wire, System(restored_at_the_third_wait, found.prctl, found.namespaces))
    assert waits == [(None, 0, TICK)] * 3
    request = Restore("instance", "one", 2, {"A": "b"}, private_mounts=True)
    with ours, theirs:
        ours.sendall(encode(request))
        assert channel.receive() == [request]
    channel.close()


LEAVE = """
import os, socket, sys
from bentofn.runtime.parking import leave
from bentofn.runtime.protocol import Channel

ours, theirs = socket.socketpair()
print("kept until the end", end="")
leave(Channel(theirs.detach()))
print("lost")
links = {os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)}
assert links == {os.devnull}, links
assert ours.recv(1) == b""
os._exit(7)
"""


def test_who_leaves_holds_nothing_of_the_platform_and_has_said_all() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "kept until the end", "")
