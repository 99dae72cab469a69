"""W3 with FastAPI."""

from typing import Annotated, Any

from fastapi import Body, FastAPI

app = FastAPI()


@app.post("/echo")
async def echo(document: Annotated[dict[str, Any], Body(embed=True)]) -> dict[str, Any]:
    return document
