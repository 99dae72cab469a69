"""What is said of a lazy bento, in the logs of the functions that run it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence

from bentofn.adapters.local.functions import Function
from bentofn.packager.lazy.provider import LazyTrees
from bentofn.packager.roots.trees import TreeProvider


def write_lazy_logs(providers: Sequence[TreeProvider], functions: Mapping[str, Function]) -> None:
    """Have lazy trees tell the functions' logs of themselves from now on.

    Args:
        providers: Who gives the trees of bentos.
        functions: By name, as they are when something is said.
    """
    loop = asyncio.get_running_loop()

    def write(digest: str, line: str) -> None:
        using = [
            function
            for function in functions.values()
            if function.deployment is not None and function.deployment.digest == digest
        ]
        for function in using:
            function.write_log("lazy", line)
        if not using:  # it is being deployed
            print(f"lazy: {line}", file=sys.stderr, flush=True)

    def listen(digest: str, line: str) -> None:
        loop.call_soon_threadsafe(write, digest, line)

    for provider in providers:
        if isinstance(provider, LazyTrees):
            provider.listener = listen
