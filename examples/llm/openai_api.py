"""The part of OpenAI's HTTP API that chat clients use, over an engine.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from engine import Engine, Piece, Sampling, encode
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

import bentofn

MODEL = "tiny-llm"

CLIENT_CLOSED_REQUEST = 499
"""nginx's number for a client that has left, which nobody is left to read."""

app = FastAPI()


class Message(BaseModel):
    """One turn of a conversation."""

    role: str
    content: str


class StreamOptions(BaseModel):
    """What a stream tells besides the text."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """The body of a request for a chat completion; other fields are ignored."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, ge=0, le=2)
    seed: int | None = None

    @property
    def prompt(self) -> str:
        """The conversation as one text, open for the next answer.

        Our model continues texts: what a system or a user says comes before, and nothing marks it.
        """
        return "\n".join(message.content for message in self.messages)

    @property
    def sampling(self) -> Sampling:
        """How tokens are to be chosen."""
        limit = self.max_completion_tokens or self.max_tokens or 128
        return Sampling(limit, self.temperature, self.seed)


@app.get("/models")
async def models() -> dict[str, Any]:
    """The models that can be asked: one."""
    return {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "bentofn"}]}


@app.post("/chat/completions", response_model=None)
async def chat(request: ChatRequest, connection: Request) -> Response | dict[str, Any]:
    """Answer a conversation, whole or as server-sent events."""
    if request.model != MODEL:
        raise HTTPException(404, f"The model {request.model} does not exist; there is {MODEL}.")
    engine: Engine = bentofn.get_current_service().engine
    pieces = engine.stream(request.prompt, request.sampling)
    if request.stream:
        return StreamingResponse(events(request, pieces), media_type="text/event-stream")
    text, tokens, finished = "", 0, None
    async with aclosing(pieces):  # leaving early ends the generation
        async for piece in pieces:
            if await connection.is_disconnected():
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            text, finished = text + piece.text, piece.finished
            tokens += piece.tokens
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finished}
    return {
        **document("chat.completion"),
        "choices": [choice],
        "usage": usage_of(request, tokens),
    }


@app.exception_handler(RequestValidationError)
async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """What is wrong with a request, in the form that OpenAI's clients read."""
    first = error.errors()[0]
    return refused(400, f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}")


@app.exception_handler(HTTPException)
async def failed(request: Request, error: HTTPException) -> JSONResponse:
    """Any other refusal, in the same form."""
    return refused(error.status_code, error.detail)


def refused(status: int, message: str) -> JSONResponse:
    """OpenAI's form of an error."""
    content = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return JSONResponse({"error": content}, status)


async def events(
    request: ChatRequest, pieces: AsyncGenerator[Piece, None]
) -> AsyncGenerator[str, None]:
    """The server-sent events of a chat completion. Closing them ends the generation."""
    head = document("chat.completion.chunk")

    def chunk(delta: dict[str, str], finished: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finished}
        return event({**head, "choices": [choice]})

    tokens, finished = 0, None
    async with aclosing(pieces):
        yield chunk({"role": "assistant", "content": ""})
        async for piece in pieces:
            tokens, finished = tokens + piece.tokens, piece.finished
            if piece.text:
                yield chunk({"content": piece.text})
    yield chunk({}, finished)
    if request.stream_options.include_usage:
        yield event({**head, "choices": [], "usage": usage_of(request, tokens)})
    yield "data: [DONE]\n\n"


def event(content: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(content)}\n\n"


def document(kind: str) -> dict[str, Any]:
    """What every answer begins with."""
    name = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": MODEL}


def usage_of(request: ChatRequest, tokens: int) -> dict[str, int]:
    """The tokens of a request and its answer."""
    prompt = len(encode(request.prompt))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": tokens,
        "total_tokens": prompt + tokens,
    }
