"""The sockets and pipes between the platform and an instance."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from bentofn.runtime.errors import UserError

PATH_MAX = 107 if sys.platform == "linux" else 103
"""Bytes in a socket's path without its end marker: sun_path in unix(7) and in BSD's sys/un.h."""

BACKLOG = 2048
"""Connections that wait while an instance starts; uvicorn's own number."""


def socket_path(directory: Path, instance_id: str) -> Path:
    """Where an instance's socket stands.

    Raises:
        UserError: The path is too long for a socket.
    """
    path = directory / f"{instance_id}.sock"
    if len(os.fsencode(path)) > PATH_MAX:
        raise UserError(
            f"The path of an instance's socket is longer than the {PATH_MAX} bytes that the system "
            f"allows: {path}; set BENTOFN_HOME to a shorter directory."
        )
    return path


def listen(path: Path) -> socket.socket:
    """Open a listening socket at a path, in place of one that a dead platform left there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


async def readable(*descriptors: int) -> None:
    """Wait until one of some descriptors can be read."""
    loop = asyncio.get_running_loop()
    seen = asyncio.Event()
    for descriptor in descriptors:
        loop.add_reader(descriptor, seen.set)
    try:
        await seen.wait()
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)


@dataclass(frozen=True)
class Wires:
    """What connects a process to the platform: each pair's platform end and process end.

    Args:
        control: The platform's end of the control socket.
        remote_control: The process's end.
        stdout: Descriptor that the platform reads.
        remote_stdout: Descriptor that the process writes.
        stderr: Descriptor that the platform reads.
        remote_stderr: Descriptor that the process writes.
        listener: The process's listening socket; None for a template.
    """

    control: socket.socket
    remote_control: socket.socket
    stdout: int
    remote_stdout: int
    stderr: int
    remote_stderr: int
    listener: socket.socket | None

    @classmethod
    def open(cls, path: Path | None) -> Wires:
        """Make the wires of a process that listens at a path, or nowhere.

        Raises:
            OSError: The platform has no descriptor or no room left; nothing stays open.
        """
        with contextlib.ExitStack() as opened:
            listener = opened.enter_context(listen(path)) if path is not None else None
            control, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            opened.enter_context(control)
            opened.enter_context(remote)
            control.setblocking(False)
            stdout = os.pipe()
            for fd in stdout:
                opened.callback(os.close, fd)
            stderr = os.pipe()
            opened.pop_all()
        return cls(control, remote, *stdout, *stderr, listener)

    def remote_fds(self) -> list[int]:
        """The process's ends, in the order in which a process that takes them expects them."""
        sockets = (self.listener, self.remote_control)
        handed = [each.fileno() for each in sockets if each is not None]
        return [*handed, self.remote_stdout, self.remote_stderr]

    def close_remote(self) -> None:
        """Close the process's ends here, so that its death is seen as their end of file."""
        if self.listener is not None:
            self.listener.close()
        self.remote_control.close()
        os.close(self.remote_stdout)
        os.close(self.remote_stderr)

    def close(self) -> None:
        """Close the platform's ends, of a process that was not started."""
        self.control.close()
        os.close(self.stdout)
        os.close(self.stderr)
