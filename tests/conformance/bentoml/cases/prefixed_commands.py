"""A command below a path prefix, which is given as a list."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bentoml

PORT = int(os.environ["CASE_PORT"])
UPSTREAM = Path(__file__).parents[1] / "upstream.py"

Case = bentoml.Service(
    "prefixed_commands",
    cmd=[sys.executable, str(UPSTREAM), str(PORT)],
    path_prefix="/v1",
    config={"http": {"proxy_port": PORT}},
)
