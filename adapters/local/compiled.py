"""What a function compiles is kept from its first use on this machine, where nothing kept fits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.engines.base import Log
from bentofn.packager.home import Home
from bentofn.packager.kept.first_use import FirstUse
from bentofn.runtime.errors import UserError
from bentofn.runtime.kept.host import this_host

_ID = "compiled"
"""Whose lines in a function's log those of this are."""


@dataclass(frozen=True)
class FunctionCompiles:
    """Has what a bento's examples compile kept, if that is due.

    Args:
        home: The home.
        bento: The bento.
        python: Its interpreter.
        gpu: Whether the function is given GPUs where there are any.
        log: The function's.
        loop: The platform's, in whose thread the log is written.
        called_off: Set when nobody wants it any more.
    """

    home: Home
    bento: LocalBento
    python: Path
    gpu: bool
    log: Log
    loop: asyncio.AbstractEventLoop
    called_off: threading.Event

    def is_due(self, env: Mapping[str, str]) -> bool:
        """See :class:`bentofn.adapters.local.engines.base.CompileFirst`."""
        return self.bento.digest.startswith("sha256:") and self._use(env).is_due()

    def have(self, env: Mapping[str, str]) -> None:
        """See :class:`bentofn.adapters.local.engines.base.CompileFirst`; why it fails is told."""
        try:
            if self.is_due(env):
                self._use(env).make()
        except (UserError, OSError) as error:
            self._tell(f"what the examples compile is not kept: {error}")

    def _use(self, env: Mapping[str, str]) -> FirstUse:
        bento = self.bento
        return FirstUse(
            self.home, bento.digest, bento.root, bento.manifest, self.python, env, this_host(env),
            self.gpu, self._tell, self.called_off,
        )  # fmt: skip

    def _tell(self, line: str) -> None:
        self.loop.call_soon_threadsafe(lambda: self.log(_ID, "platform", line))
