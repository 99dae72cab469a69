"""The threads with which tqdm watches its progress bars: many libraries show one while they load.

A thread that stays is why a service cannot be forked, nor have a clock of its own when it is
restored.
"""

from __future__ import annotations

import sys
import threading


def end_monitors() -> None:
    """End them; the next bar starts another."""
    module = sys.modules.get("tqdm._monitor")
    if module is None:
        return
    for thread in threading.enumerate():
        if isinstance(thread, module.TMonitor):
            thread.exit()
