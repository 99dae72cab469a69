"""The files that ``logging`` writes to: closed before a copy, opened again by the next record.

A handler whose stream is None opens its file (``logging.FileHandler.emit``), so that each copy has
it open for itself, to append whole lines.
"""

from __future__ import annotations

import logging
from typing import Any


def close_log_files() -> None:
    """Close the files of the handlers that loggers have."""
    known = logging.root.manager.loggerDict.values()
    loggers = [logging.root, *(each for each in known if isinstance(each, logging.Logger))]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if isinstance(handler, logging.FileHandler):
            _close(handler)


def _close(handler: Any) -> None:
    handler.acquire()
    try:
        if handler.stream is not None:
            handler.stream.close()
            handler.stream = None
            handler.mode = "a"  # what was written stays
    finally:
        handler.release()
