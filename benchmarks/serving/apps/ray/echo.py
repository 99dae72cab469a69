"""W3 with Ray Serve."""

from typing import Any

from _run import DEPLOYMENT, run
from ray import serve
from starlette.requests import Request


@serve.deployment(**DEPLOYMENT)
class Echo:
    async def __call__(self, request: Request) -> Any:
        return (await request.json())["document"]


if __name__ == "__main__":
    run(Echo.bind())
