"""Modal's control plane on loopback, on Modal's published protobufs: apps, images, volumes, calls.

It keeps what it is sent as Modal does (an app's versions and its history, objects by their content)
and runs containers with Modal's own entry point, in the image that the client described. Every call
is noted, and any can be made to fail.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from grpclib.server import Server

from modal_cloud.apps import Apps
from modal_cloud.calls import Calls
from modal_cloud.doors import Doors
from modal_cloud.faults import Faults
from modal_cloud.files import Files
from modal_cloud.functions import Functions
from modal_cloud.images import Images
from modal_cloud.logs import Logs
from modal_cloud.state import State
from modal_cloud.wire import servicer

T = TypeVar("T")


class Cloud:
    """A workspace of its own, from ``with`` to its end.

    Args:
        folder: For the containers' roots.
    """

    def __init__(self, folder: Path) -> None:
        self.state = State(folder)
        self.faults = Faults()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: Server | None = None
        self._doors = Doors(self.state)
        self.url = ""

    def __enter__(self) -> Cloud:
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something in the cloud's own thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(120)

    def do(self, action: Callable[[], T]) -> T:
        """As :meth:`run`, of a plain function."""

        async def doing() -> T:
            return action()

        return self.run(doing())

    @property
    def seen(self) -> list[tuple[str, Any]]:
        """The calls in order: name and message, without heartbeats."""
        return self.faults.seen

    def names(self) -> list[str]:
        """The names of the calls in order."""
        return [name for name, _ in self.seen]

    def requests(self, name: str) -> list[Any]:
        """The messages of the calls of a name."""
        return [message for each, message in self.seen if each == name]

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a client comes here."""
        return {
            "MODAL_SERVER_URL": self.url,
            "MODAL_TOKEN_ID": "ak-test",
            "MODAL_TOKEN_SECRET": "as-test",
        }

    async def _start(self) -> None:
        handlers = [
            Apps(self.state),
            Files(self.state),
            Images(self.state),
            Functions(self.state),
            Calls(self.state),
            Logs(self.state),
        ]
        self._server = Server([servicer(handlers, self.faults)])
        await self._server.start("127.0.0.1", 0)
        sockets = self._server._server.sockets  # type: ignore[union-attr]
        self.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        self.state.server_url = self.url
        self.state.doors_url = await self._doors.start()

    async def _stop(self) -> None:
        await self.state.stop_containers()
        await self._doors.stop()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
