"""The copies that a process makes of itself by fork: how they begin, and how they end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from select import POLLIN, poll

from bentofn.runtime import instance, lifeline, stages
from bentofn.runtime.http.serving import ServerConfig
from bentofn.runtime.namespaces import Namespaces, isolate
from bentofn.runtime.orders import Orders
from bentofn.runtime.protocol import Channel, Exited, Fork, Forked, ForkFailed

Start = Callable[[Channel, Callable[[], None]], ServerConfig]
"""What a clone does before it serves, given the platform and what drops the clone's privileges."""


@dataclass(frozen=True)
class Clone:
    """What a fresh copy is to become.

    Args:
        request: What the platform asked for.
        fds: The descriptors that came with it, by name.
        parent: Process id of what it is a copy of.
        namespaces: What keeps it apart from others.
    """

    request: Fork
    fds: Mapping[str, int]
    parent: int
    namespaces: Namespaces | None

    def live(self, start: Start) -> int:
        """Be the instance that was asked for; returns the process's exit status."""
        began = time.time_ns()
        stages.begin(self.request.env)
        os.setsid()
        lifeline.die_with_parent()
        if os.getppid() not in (0, self.parent):  # 0 is one outside of its pid namespace
            return 1
        instance.redirect_output(self.fds)
        stages.since("orders", began)
        with stages.stage("isolate"):
            seal = isolate(self.namespaces, self.request.env)
        control = Channel(self.fds["control"])
        listener = instance.open_listener(self.fds["listen"])
        return instance.live(lambda: start(control, seal), listener, Orders(control))


@dataclass
class Nursery:
    """The loop of a process that is copied: forks, and reports how its clones end.

    Args:
        control: The platform.
        clones: Process id to instance id of those that live.
        namespaces: What gives each clone a pid namespace.
    """

    control: Channel
    clones: dict[int, str] = field(default_factory=dict)
    namespaces: Namespaces | None = field(default_factory=Namespaces.find)

    def serve(self) -> Clone | None:
        """Fork on request until the platform has gone.

        Returns:
            None in the parent, when the platform has gone; in a clone what it is to become.
        """
        with _wakeup_on(signal.SIGCHLD) as wakeup:
            poller = poll()
            poller.register(self.control, POLLIN)
            poller.register(wakeup, POLLIN)
            while True:
                ready = {fd for fd, _ in poller.poll()}
                if wakeup in ready:
                    os.read(wakeup, 1 << 12)
                    self._report_exits()
                if self.control.fileno() in ready:
                    messages = self.control.receive()
                    if messages is None:
                        return None
                    for message in messages:
                        clone = self._fork(message) if isinstance(message, Fork) else None
                        if clone is not None:
                            return clone

    def _fork(self, request: Fork) -> Clone | None:
        parent, fds = os.getpid(), self.control.take_fds()
        try:
            with self.namespaces.for_children() if self.namespaces else nullcontext():
                pid = os.fork()
        except OSError as error:
            pid = -1
            self.control.send(ForkFailed(request.id, f"the template cannot fork: {error.strerror}"))
        if pid == 0:
            self.control.close()
            return Clone(request, fds, parent, self.namespaces)
        for fd in fds.values():
            os.close(fd)
        if pid > 0:
            self.clones[pid] = request.id
            self._report_fork(request.id, pid)
        return None

    def _report_fork(self, id_: str, pid: int) -> None:
        try:
            handle = os.pidfd_open(pid)
        except (AttributeError, OSError):  # not Linux, or before 5.3
            self.control.send(Forked(id_, pid))
        else:
            self.control.send(Forked(id_, pid), [handle])
            os.close(handle)

    def _report_exits(self) -> None:
        # Only clones are waited for: a child that the service started is the service's to reap.
        for pid, id_ in list(self.clones.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self.clones[pid]
                self.control.send(Exited(id_, pid, os.waitstatus_to_exitcode(status)))


@contextmanager
def _wakeup_on(signum: signal.Signals) -> Iterator[int]:
    """A descriptor that becomes readable when the signal arrives, in this process only."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    handler = signal.signal(signum, lambda *_: None)
    before = signal.set_wakeup_fd(write)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signum, handler)
        os.close(read)
        os.close(write)
