"""A coroutine run to its end where nothing serves: an example, a hook.

Its loop ends with it, and with the loop what belongs to it. A client of the service's that keeps a
connection for its next request, as httpx does, would find it bound to a loop that is closed, and
fail; closed with the loop, it is as one that the server has closed, and another is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_to_end(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own; no task, thread or connection of it is left.

    Args:
        main: It.
    """
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(end(loop))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def end(loop: asyncio.AbstractEventLoop) -> None:
    """End what a loop still has; it is closed next.

    Args:
        loop: It, which runs this.
    """
    left = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await loop.shutdown_asyncgens()
    # asyncio has no public list of them; of a loop that keeps none, they end with their objects.
    for transport in list(getattr(loop, "_transports", {}).values()):
        transport.abort()
    await asyncio.sleep(0)  # abort only begins it
