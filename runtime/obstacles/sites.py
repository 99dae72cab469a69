"""Which line of the service's code opened what: noted while the service is imported and made.

An audit hook is told of every file that is opened, connection, child process and thread. torch's
import raises 17,000 events, which takes 2 ms more.
Source: https://docs.python.org/3/library/audit_events.html
"""

# ruff: noqa: PTH100, PTH118 - called for every file that is opened

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from bentofn.runtime.obstacles.lines import Lines, line_of


@dataclass
class Sites:
    """Where things were opened; what native code opens is not seen.

    Args:
        source: The project's code, with a slash at its end; its own lines are named before those
            of packages.
        packages: Where packages are, with a slash at its end.
        since: When the notes began, in seconds of the wall clock.
    """

    source: str = "/"
    packages: str = "/"
    since: float = field(default_factory=time.time)
    _active: bool = True
    _sockets: dict[int, str] = field(default_factory=dict)
    _files: dict[str, str] = field(default_factory=dict)
    _locks: dict[int, str] = field(default_factory=dict)
    _children: list[tuple[Sequence[str], str]] = field(default_factory=list)
    _threads: WeakKeyDictionary[threading.Thread, str] = field(default_factory=WeakKeyDictionary)
    _hosts: dict[int, str] = field(default_factory=dict)
    _lines: Lines | None = None

    @classmethod
    def record(cls, source: str, packages: str, *, lines: bool = False) -> Sites:
        """Begin to take notes; see :meth:`stop`.

        Args:
            source: Where the project's code is imported from, absolute.
            packages: Where its packages are imported from, absolute.
            lines: Whether to look after each line of the project too, which takes time.
        """
        # The project is imported from where its folder really is, packages from where they are said
        # to be.
        sites = cls(os.path.join(os.path.realpath(source), ""), os.path.join(packages, ""))
        handlers: dict[str, Callable[..., None]] = {
            "socket.getaddrinfo": sites._resolving,
            "socket.connect": sites._connecting,
            "socket.bind": sites._connecting,
            "open": sites._opening,
            "sqlite3.connect": sites._opening,
            "fcntl.flock": sites._locking,
            "fcntl.lockf": sites._locking,
            "subprocess.Popen": sites._spawning,
            "os.posix_spawn": sites._spawning,
            "os.fork": sites._forking,
            # Since Python 3.12, and by another name since 3.13: before, no thread's line is known.
            "_thread.start_new_thread": sites._threading,
            "_thread.start_joinable_thread": sites._threading,
        }

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            handler = handlers.get(event)
            if handler is not None and sites._active:
                # An audit hook that raises would make the service's own call fail.
                with contextlib.suppress(Exception):
                    handler(*arguments)

        sys.addaudithook(hook)
        if lines:
            sites._lines = Lines.record(sites.source)
        return sites

    def stop(self) -> None:
        """Take no more notes; the hook itself stays as long as the process."""
        self._active = False
        if self._lines is not None:
            self._lines.stop()

    def of_descriptor(self, fd: int) -> str:
        """The line after which a descriptor was there, if lines were looked at."""
        return self._lines.of(fd) if self._lines is not None else ""

    def of_socket(self, fd: int) -> str:
        """The line that connected or bound a socket."""
        return self._sockets.get(fd, "")

    def host_of(self, port: int) -> str:
        """The name that was last looked up for a port."""
        return self._hosts.get(port, "")

    def of_file(self, path: str) -> str:
        """The line that opened a file."""
        return self._files.get(path, "")

    def of_lock(self, fd: int) -> str:
        """The line that locked a file."""
        return self._locks.get(fd, "")

    def of_thread(self, thread: threading.Thread) -> str:
        """The line that started a thread."""
        return self._threads.get(thread, "")

    def of_child(self, command: Sequence[str]) -> str:
        """The line that started a child process: by its command, else the last that forked."""
        started = [where for known, where in self._children if list(known) == list(command)]
        forked = [where for known, where in self._children if not known]
        return (started or forked or [""])[-1]

    def _resolving(self, host: Any, port: Any, *_: Any) -> None:
        name = host.decode() if isinstance(host, bytes) else host
        if name and str(port).isdecimal():
            self._hosts[int(port)] = str(name)

    def _connecting(self, socket: Any, *_: Any) -> None:
        self._sockets[socket.fileno()] = self._here()

    def _opening(self, path: Any, *_: Any) -> None:
        where = "" if isinstance(path, int) else self._here()
        if where:
            self._files[os.path.abspath(os.fsdecode(path))] = where

    def _locking(self, fd: int, *_: Any) -> None:
        self._locks[fd] = self._here()

    def _spawning(self, executable: Any, arguments: Any, *_: Any) -> None:
        command = [arguments] if isinstance(arguments, (str, bytes)) else arguments
        self._children.append(([os.fsdecode(word) for word in command], self._here()))

    def _forking(self) -> None:
        self._children.append(((), self._here()))

    def _threading(self, function: Any, *_: Any) -> None:
        thread = getattr(function, "__self__", None)
        if isinstance(thread, threading.Thread):
            self._threads[thread] = self._here()

    def _here(self) -> str:
        """The innermost line of the project, else of a package, that runs now."""
        frame: FrameType | None = sys._getframe(2)
        package = ""
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(self.source):
                return line_of(frame.f_code, frame.f_lineno, self.source)
            if not package and file.startswith(self.packages):
                package = line_of(frame.f_code, frame.f_lineno, self.packages)
            frame = frame.f_back
        return package
