"""Errors, of BentoML's kinds and of others, and time limits."""

from __future__ import annotations

import asyncio
import typing as t
from http import HTTPStatus

import bentoml
from bentoml.exceptions import (
    BadInput,
    BentoMLException,
    InternalServerError,
    InvalidArgument,
    NotFound,
    ServiceUnavailable,
)
from starlette.exceptions import HTTPException


class Teapot(BentoMLException):
    error_code = HTTPStatus.IM_A_TEAPOT


class Unauthorized(BentoMLException):
    error_code = HTTPStatus.UNAUTHORIZED


class Forbidden(BentoMLException):
    error_code = HTTPStatus.FORBIDDEN


KINDS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        *(BadInput, BentoMLException, InternalServerError, InvalidArgument, NotFound),
        *(ServiceUnavailable, Teapot, Unauthorized, Forbidden, ValueError, KeyError),
    )
}


@bentoml.service(traffic={"timeout": 1})
class Case:
    @bentoml.api
    def fail(self, kind: str) -> str:
        raise KINDS[kind]("what is wrong")

    @bentoml.api
    async def fail_later(self, kind: str) -> str:
        raise KINDS[kind]("what is wrong")

    @bentoml.api
    def http(self) -> str:
        raise HTTPException(418, "short and stout")

    @bentoml.api
    async def slow(self) -> str:
        await asyncio.sleep(30)
        return "late"

    @bentoml.api
    async def late_stream(self) -> t.AsyncGenerator[str, None]:
        yield "one "
        await asyncio.sleep(1.5)
        yield "two"

    @bentoml.api
    def unserialisable(self) -> dict:
        return {"value": object()}

    @bentoml.api
    def odd_header(self, ctx: bentoml.Context) -> str:
        ctx.response.headers["x-from-service"] = "two\r\nlines"
        return "text"
