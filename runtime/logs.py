"""Where a service's own log lines go."""

from __future__ import annotations

import logging
import sys

_FORMAT = "%(asctime)s [%(levelname)s] %(message)s"


def show_services_logs() -> None:
    """Show what services log by BentoML's logger, such as ``bentoml.service``, from INFO up.

    BentoML does; a logger that somebody has set up stays as it is.
    """
    logger = logging.getLogger("bentoml")
    if logger.handlers or logger.level != logging.NOTSET:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
