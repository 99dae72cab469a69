"""A server that a script starts and stops."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bentofn.runtime.errors import InvalidArgument, ServerStateException, UnservableException
from bentofn.runtime.management.command import program
from bentofn.runtime.service import Service
from bentofn.runtime.tags import Tag

if TYPE_CHECKING:
    from bentofn.runtime.client import SyncHTTPClient

_SERVES = re.compile(r"serves at (\S+)")
_PATIENCE = 15
"""Seconds that a server gets to finish its requests."""


class Server:
    """A running `bentofn serve`; also a context that stops it in the end.

    Args:
        process: Its process.
        url: Where it answers.
    """

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self._url = url

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._url

    def get_client(self) -> SyncHTTPClient:
        """A client of it.

        Raises:
            ServerStateException: It has ended.
        """
        from bentofn.runtime.client import SyncHTTPClient

        if self.process.poll() is not None:
            raise ServerStateException("The server has ended; start it again.")
        return SyncHTTPClient(self._url)

    def stop(self) -> None:
        """Let it finish its requests and end."""
        self.process.terminate()
        try:
            self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def serve(
    bento: str | Tag | Service[Any],
    server_type: str = "http",
    *,
    host: str | None = None,
    port: int | None = None,
    working_dir: str = ".",
    blocking: bool = False,
    args: Mapping[str, Any] | None = None,
    **options: Any,
) -> Server:
    """Serve a project or a bento in a process of its own; returns once it answers.

    Args:
        bento: A folder, ``module:Class``, ``file.py:Class``, a tag or a service.
        server_type: ``http``.
        host: Address to bind.
        port: Port to bind; 0 takes a free one.
        working_dir: The folder to import from.
        blocking: Whether to return only when it has ended.
        args: What the service reads with ``use_arguments``.
        **options: BentoML's others, which have no effect here.

    Raises:
        InvalidArgument: The server is to speak something else than HTTP.
        UnservableException: It does not start; what it wrote to stderr says why.
    """
    if server_type != "http":
        raise InvalidArgument(f"bentofn serves HTTP, not {server_type}.")
    target = str(bento)
    if isinstance(bento, Service):
        target, working_dir = bento.import_string, bento.working_dir
    command = [*program(), "serve", target]
    command += ["--host", host] if host else []
    command += ["--port", str(port)] if port is not None else []
    command += [f"--arg={name}={value}" for name, value in (args or {}).items()]
    process = subprocess.Popen(
        command, cwd=working_dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    server = Server(process, _address(process))
    if blocking:
        process.wait()
    return server


def _address(process: subprocess.Popen[str]) -> str:
    """Where a server says that it answers; what it prints from then on is passed on."""
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        found = _SERVES.search(line)
        if found:
            threading.Thread(target=_pass_on, args=(process,), daemon=True).start()
            return found.group(1)
    status = process.wait()
    raise UnservableException(f"The server ended with status {status} before it answered.")


def _pass_on(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
