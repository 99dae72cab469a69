"""What a service's process and the platform say to each other: one JSON object a line.

A request for a copy carries file descriptors beside its line (``SCM_RIGHTS``), in the order of
:data:`FORK_FDS` or :data:`RESTORE_FDS`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

MAX_LINE = 1 << 20
"""Longest message in bytes; an environment is the longest thing that is sent."""

FORK_FDS = ("listen", "control", "stdout", "stderr")
RESTORE_FDS: Mapping[str, tuple[str, ...]] = {
    "instance": FORK_FDS,
    "template": ("control", "stdout", "stderr"),
}
"""What a restored process is to be, to the descriptors that it is given for it."""
SLEEP_FDS = ("wire",)

GPUS = "BENTOFN_GPUS"
"""Variable with the GPUs that the local platform has given to an instance, separated by commas."""
TAKEN_OUT = "BENTOFN_GPU_SNAPSHOT"
"""Variable that says to a process that parks that its GPU memory is taken out before a dump."""


class ProtocolError(Exception):
    """The other side sent something that is no message."""


@dataclass(frozen=True)
class Ready:
    """An instance serves, a template can fork, or a process parks to be kept as a snapshot."""

    pid: int


@dataclass(frozen=True)
class Failed:
    """The process could not start and exits; ``error`` is one sentence."""

    error: str


@dataclass(frozen=True)
class Refused:
    """The service works but cannot be copied; ``error`` says why and what to do."""

    error: str


@dataclass(frozen=True)
class Fork:
    """Ask a template for an instance."""

    id: str
    threads: int
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Restore:
    """Tell a process that was just restored what it is to be.

    Args:
        kind: A key of :data:`RESTORE_FDS`.
        id: Its name.
        threads: Its compute threads, unless ``OMP_NUM_THREADS`` is in its environment.
        env: Its whole environment.
        private_mounts: Whether its mounts are its own, so that it mounts a ``/proc`` of its own.
        parks_again: Whether it may be asked to park, for which it keeps its privileges.
    """

    kind: str
    id: str
    threads: int
    env: Mapping[str, str] = field(default_factory=dict)
    private_mounts: bool = False
    parks_again: bool = False


@dataclass(frozen=True)
class Park:
    """Ask a restored instance to end what it serves and to be ready for a snapshot again.

    Args:
        wire: An empty file that it keeps open meanwhile.
    """

    wire: str


@dataclass(frozen=True)
class Sleep:
    """Ask an instance to end what it serves and to wait, in its process, until it is needed.

    A socket comes beside the line, through which it will be sent a :class:`Restore`. ``Ready`` is
    the answer, after which its end of the control socket is closed.
    """


@dataclass(frozen=True)
class OnDevice:
    """What a process has on GPUs, told at its snapshot point and when it serves no more.

    Args:
        used: Bytes of the GPU that it needs most of, while its framework has what it has had there
            at most. By whomever: by it alone where it has the GPU for itself.
        reserved: Bytes that its framework has had on one at most; 0 where nobody knows.
        early: Whether it is told at the snapshot point: the process cannot be copied then.
        now: Bytes that it has on all of them; 0 in what older runtimes tell.
    """

    used: int
    reserved: int
    early: bool = False
    now: int = 0


@dataclass(frozen=True)
class Rehearse:
    """Ask a restored instance to answer its service's own examples.

    They come from within: no request from outside can be taken for one. :class:`Rehearsed` is the
    answer, or :class:`Failed`.
    """


@dataclass(frozen=True)
class Rehearsed:
    """An instance has answered its examples."""


@dataclass(frozen=True)
class Warmed:
    """A zygote can fork.

    Args:
        pid: Its process.
        read: The environment variables that were read while it imported its modules.
    """

    pid: int
    read: Sequence[str] = ()


@dataclass(frozen=True)
class Threaded:
    """A zygote exits because a package that it imported started a thread."""

    package: str


@dataclass(frozen=True)
class Forked:
    """A template made the instance that was asked for.

    Where the system has them, a pidfd of it comes beside the line: ``pid`` is its number for the
    template, which may be in another pid namespace than who asked.
    """

    id: str
    pid: int


@dataclass(frozen=True)
class ForkFailed:
    """A template could not make the instance that was asked for."""

    id: str
    error: str


@dataclass(frozen=True)
class Exited:
    """An instance of a template ended; a negative status is a signal's number."""

    id: str
    pid: int
    status: int


# typing.Union: a type alias in this form must also evaluate on Python 3.10 tools.
Message = Union[  # noqa: UP007
    Ready, Failed, Refused, Fork, Restore, Park, Sleep, OnDevice, Rehearse, Rehearsed, Warmed,
    Threaded, Forked, ForkFailed, Exited,
]  # fmt: skip

_TAGS: dict[str, tuple[str, type[Message]]] = {
    "ready": ("event", Ready),
    "failed": ("event", Failed),
    "refused": ("event", Refused),
    "fork": ("op", Fork),
    "restore": ("op", Restore),
    "park": ("op", Park),
    "sleep": ("op", Sleep),
    "on_device": ("event", OnDevice),
    "rehearse": ("op", Rehearse),
    "rehearsed": ("event", Rehearsed),
    "warmed": ("event", Warmed),
    "threaded": ("event", Threaded),
    "forked": ("event", Forked),
    "fork_failed": ("event", ForkFailed),
    "exited": ("event", Exited),
}
_TAG_OF = {message: (key, name) for name, (key, message) in _TAGS.items()}


def encode(message: Message) -> bytes:
    """The message as its line."""
    key, name = _TAG_OF[type(message)]
    return json.dumps({key: name, **dataclasses.asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Read one line.

    Raises:
        ProtocolError: It is no message that this version knows.
    """
    try:
        raw: dict[str, Any] = json.loads(line)
        name = raw.pop("op", None) or raw.pop("event")
        return _TAGS[name][1](**raw)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # Its text stays out of logs: an environment may hold secrets.
        raise ProtocolError(f"not a message: a line of {len(line)} bytes") from error


class Decoder:
    """Joins the pieces that a stream delivers into messages."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Take what arrived; returns the messages that it completes.

        Raises:
            ProtocolError: A line is no message, or is longer than :data:`MAX_LINE`.
        """
        self._pending += data
        *lines, rest = self._pending.split(b"\n")
        if max(map(len, (*lines, rest))) > MAX_LINE:
            raise ProtocolError(f"a message is longer than {MAX_LINE} bytes")
        self._pending = rest
        return [decode(bytes(line)) for line in lines]


class Channel:
    """A process's blocking end of its control socket."""

    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)
        self.socket.setblocking(True)
        self.socket.set_inheritable(False)
        self._decoder = Decoder()
        self._fds: deque[int] = deque()

    def fileno(self) -> int:
        """The descriptor, for a poller."""
        return self.socket.fileno()

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send a message; a platform that has gone is not an error here, its end of file is.

        Args:
            message: What to say.
            fds: Descriptors to send beside it.
        """
        data = encode(message)
        try:
            sent = socket.send_fds(self.socket, [data], fds) if fds else 0
            self.socket.sendall(data[sent:])
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> list[Message] | None:
        """Wait for messages; None when the platform has gone."""
        try:
            data, fds, _, _ = socket.recv_fds(self.socket, 1 << 16, 16 * len(FORK_FDS))
        except ConnectionResetError:
            return None
        self._fds.extend(fds)
        return self._decoder.feed(data) if data else None

    def take_fds(self, names: Sequence[str] = FORK_FDS) -> dict[str, int]:
        """The descriptors that came with the oldest request not yet served, by name."""
        return {name: self._fds.popleft() for name in names}

    def close(self) -> None:
        """Close this end, and what came through it and was not taken."""
        while self._fds:
            os.close(self._fds.popleft())
        self.socket.close()
