"""W2 with FastAPI."""

from typing import Annotated

from fastapi import Body, FastAPI
from model import embeddings

app = FastAPI()
encoder = embeddings()


@app.post("/embed")
async def embed(text: Annotated[str, Body(embed=True)]) -> list[float]:
    return encoder.encode([text])[0].tolist()
