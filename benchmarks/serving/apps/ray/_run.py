"""How Ray Serve runs here."""

import os
from typing import Any

import ray
from ray import serve

DEPLOYMENT: dict[str, Any] = {"max_ongoing_requests": 1000, "ray_actor_options": {"num_cpus": 0}}
BATCH: dict[str, Any] = {"max_batch_size": 64, "batch_wait_timeout_s": 0.0}


def run(app: Any) -> None:
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(app, route_prefix="/", blocking=True)
