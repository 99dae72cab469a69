"""The platform's HTTP server: functions by the first part of the path."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from bentofn.adapters.local import proxy, websockets
from bentofn.adapters.local.console.guard import why_not
from bentofn.adapters.local.console.pages import Console
from bentofn.adapters.local.control import PREFIX, Control
from bentofn.adapters.local.front.front import Front
from bentofn.adapters.local.front.request import Request
from bentofn.adapters.local.platform import Platform
from bentofn.adapters.local.replies import error_response
from bentofn.packager.files import remove_tree
from bentofn.runtime.errors import UserError

HOST = "127.0.0.1"
BACKLOG = 65_535
"""Connections that wait to be accepted; the kernel allows net.core.somaxconn of them. One that
finds no place is tried again after 1, 3, 7... seconds."""

_NEW_OBJECTS = 20_000
"""After so many the collector looks through them: about 5 MB, or 1 ms."""


class Emulator:
    """Takes every request to where it belongs.

    Args:
        platform: The functions.
        token: What guards the control API.
    """

    def __init__(self, platform: Platform, token: str) -> None:
        self._platform = platform
        self._control = Control(platform, token)
        self._console = Console(platform)

    def close(self) -> None:
        """End what would go on for as long as somebody listens."""
        self._console.close()

    async def answer(self, request: Request, _: asyncio.Transport) -> bool:
        """Answer a request for a function; False for all others."""
        name, path = _split(request.target)
        if self._is_other(request.target, name):
            return False
        try:
            function = self._platform.get(name)
        except UserError as error:
            await request.error(404, _told(error, request.headers))
            return True
        await proxy.answer(request, function, path, function.profile.limits.payload)
        return True

    async def answer_other(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request for anything else, or for a websocket.

        What no code expected is a 500 without its details.
        """
        raw = request.raw_path
        if self._console.answers(raw.partition("?")[0]):
            return await self._console.answer(request)
        if raw.startswith(PREFIX):
            return await self._control.answer(request)
        face = self._platform.lambda_face
        if face.takes(raw.partition("?")[0]):
            return await face.answer(request)
        name, path = _split(raw)
        own, _, qualifier = unquote(name).partition(":")
        if face.has(own):
            return await face.answer_url(request, own, qualifier or None, path)
        try:
            function = self._platform.get(name)
        except UserError as error:
            return error_response(404, _told(error, request.headers))
        return await websockets.answer(request, function, path, function.profile.limits.payload)

    def _is_other(self, target: str, name: str) -> bool:
        """Whether a request is not for a function that is asked in HTTP."""
        face = self._platform.lambda_face
        if target.startswith(PREFIX) or face.takes(target):
            return True
        if name in self._platform.functions:
            return face.has(name)
        path = target.partition("?")[0]
        return self._console.answers(path) or face.has(unquote(name).partition(":")[0])


def _told(unknown: UserError, headers: Mapping[str, str]) -> str:
    """What is said of a function that there is not: its sentence lists those that there are, which
    is for who may read the console."""
    return "There is no such function." if why_not(headers) else str(unknown)


def _split(target: str) -> tuple[str, str]:
    """A function's name, and path and query below it."""
    raw, question, query = target.partition("?")
    name, _, rest = raw.removeprefix("/").partition("/")
    return name, f"/{rest}{question}{query}"


def bind(port: int) -> socket.socket:
    """Take the platform's port on this machine; 0 takes a free one.

    Raises:
        UserError: Somebody else has it.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        code = getattr(error, "errno", None)
        why = "is in use by another program" if code == errno.EADDRINUSE else f"is no use: {error}"
        raise UserError(
            f"Port {port} {why}; choose another with: bentofn emulator start --port PORT."
        ) from None
    return listener


async def serve(
    platform: Platform,
    listener: socket.socket,
    token: str,
    on_ready: Callable[[], None],
    leash: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then let running requests finish and stop the instances.

    Args:
        platform: The functions; they are recovered first.
        listener: From :func:`bind`.
        token: What guards the control API.
        on_ready: Called once requests are answered.
        leash: Descriptor of a pipe: it ends, too, when nobody holds the other end any more.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, ended.set)
    if leash is not None:
        loop.add_reader(leash, ended.set)
    emulator = Emulator(platform, token)
    front = Front(emulator.answer, emulator.answer_other)
    try:
        await platform.recover()
        await front.listen(listener, BACKLOG)
        _collect_less()
        on_ready()
        await ended.wait()
        if leash is not None:
            loop.remove_reader(leash)
    finally:
        front.refuse_connections()
        emulator.close()
        await platform.close()
        await front.close(platform.profile.timeouts.stop_grace)


def _collect_less() -> None:
    """Have the collector of cycles look through what is new only, and seldom.

    Requests leave none. To look through all that the platform is made of takes tens of
    milliseconds, in which nobody gets an answer.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 50)


def private_directory(path: Path) -> Path:
    """Make an empty directory that only this user can enter, in place of an own older one.

    Raises:
        UserError: Somebody else made it.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            raise UserError(f"{path} belongs to another user; set TMPDIR elsewhere.") from None
        remove_tree(path)
        path.mkdir(mode=0o700)
    return path
