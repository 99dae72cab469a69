"""How LitServe runs here."""

import os
from typing import Any

import litserve as ls

BATCH = int(os.environ["BENCH_BATCH"])
WAIT = 0.001
"""Seconds."""


def batching() -> dict[str, Any]:
    return {"max_batch_size": BATCH, "batch_timeout": WAIT} if BATCH > 1 else {}


def run(api: ls.LitAPI) -> None:
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        generate_client_file=False,
        log_level="warning",
    )
