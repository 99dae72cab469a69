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

_ID = "compiled"
"""Whose lines in a function's log those of this are."""


@dataclass(frozen=True)
class CompileFirst:
    """Has what a bento's examples compile kept, if that is due.

    Args:
        home: The home.
        bento: The bento.
        python: Its interpreter.
        log: The function's.
        loop: The platform's, in whose thread the log is written.
        called_off: Set when nobody wants it any more.
    """

    home: Home
    bento: LocalBento
    python: Path
    log: Log
    loop: asyncio.AbstractEventLoop
    called_off: threading.Event

    def __call__(self, env: Mapping[str, str]) -> None:
        """Do it, in an environment. Blocks, for minutes where it is due."""
        bento = self.bento
        if not bento.digest.startswith("sha256:"):
            return  # a directory, which is its owner's
        use = FirstUse(
            self.home, bento.digest, bento.root, bento.manifest, self.python, env, self._tell,
            self.called_off,
        )  # fmt: skip
        try:
            if use.is_due():
                use.make()
        except (UserError, OSError) as error:
            self._tell(f"what the examples compile is not kept: {error}")

    def _tell(self, line: str) -> None:
        self.loop.call_soon_threadsafe(lambda: self.log(_ID, "platform", line))
