"""W2 with Ray Serve."""

from typing import Any

from _run import BATCH, DEPLOYMENT, run
from ray import serve
from starlette.requests import Request


@serve.deployment(**DEPLOYMENT)
class Embed:
    def __init__(self) -> None:
        from model import embeddings

        self.encoder = embeddings()

    @serve.batch(**BATCH)
    async def embed(self, texts: list[str]) -> list[Any]:
        return self.encoder.encode(texts).tolist()

    async def __call__(self, request: Request) -> Any:
        return await self.embed((await request.json())["text"])


if __name__ == "__main__":
    run(Embed.bind())
