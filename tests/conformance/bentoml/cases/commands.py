"""A server of the user's that ``__command__`` starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bentoml

PORT = int(os.environ["CASE_PORT"])
UPSTREAM = Path(__file__).parents[1] / "upstream.py"


@bentoml.service(http={"proxy_port": PORT})
class Case:
    def __command__(self) -> list[str]:
        return [sys.executable, str(UPSTREAM), str(PORT)]
