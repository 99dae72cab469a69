"""W1 with Ray Serve."""

from typing import Any

from _run import BATCH, DEPLOYMENT, run
from ray import serve
from starlette.requests import Request


@serve.deployment(**DEPLOYMENT)
class Predict:
    def __init__(self) -> None:
        from model import MLP

        self.model = MLP()

    @serve.batch(**BATCH)
    async def predict(self, rows: list[Any]) -> list[Any]:
        return self.model.predict(rows).tolist()

    async def __call__(self, request: Request) -> Any:
        return await self.predict((await request.json())["row"])


if __name__ == "__main__":
    run(Predict.bind())
