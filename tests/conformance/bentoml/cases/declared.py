"""What a declaration says, and what code may ask about the process that it runs in."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import bentoml
from _bentoml_sdk import Service as InsideService
from bentoml.exceptions import BentoMLException, NotFound
from bentoml.io import JSON  # noqa: F401 - of the old services, imported and not used
from pydantic import BaseModel, Field


class Arguments(BaseModel):
    word: str = "hello"
    size: int = 2


args = bentoml.use_arguments(Arguments)

with bentoml.importing():
    import json


class Teapot(BentoMLException):
    error_code = HTTPStatus.IM_A_TEAPOT


def checked(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *given: Any, **named: Any) -> Any:
        if Case.context.request.headers.get("x-token") == "wrong":
            Case.context.response.status_code = 401
            return "refused"
        return method(self, *given, **named)

    return call


class Base:
    @bentoml.api
    def inherited(self) -> str:
        return type(self).__name__


@bentoml.service(
    name="declared_case",
    description="Says what it is.",
    traffic={"timeout": 30},
    resources={"cpu": "500m"},
    labels={"team": "a"},
    http={"response": {"trace_id": True}},
)
class Case(Base):
    def __init__(self) -> None:
        self.order: list[str] = []

    @bentoml.on_startup
    def second(self) -> None:
        self.order.append("second")

    @bentoml.on_startup
    async def first(self) -> None:
        self.order.append("first")

    @bentoml.api
    def hooks(self) -> list[str]:
        return self.order

    @bentoml.api(name="another", route="/elsewhere")
    def named(self, a: int = Field(3, ge=0), b: str = Field("x", description="a letter")) -> str:
        return f"{a}{b}"

    @bentoml.api
    @checked
    def decorated(self, ctx: bentoml.Context, text: str = "t") -> str:
        return text

    @bentoml.api
    def arguments(self) -> list[str]:
        return [args.word, str(args.size), json.dumps(args.model_dump(), sort_keys=True)]

    @bentoml.api
    def current(self) -> list[bool]:
        service = self.bento_service
        return [
            bentoml.get_current_service() is self,
            service is Case,
            isinstance(service, bentoml.Service),
            isinstance(service, InsideService),
        ]

    @bentoml.api
    def names(self) -> list[str]:
        tag = bentoml.Tag.from_taglike("name:version")
        return [str(tag), tag.name, bentoml.__version__, Case.name, *sorted(Case.apis)]

    @bentoml.api
    async def awaited(self) -> str:
        return await self.to_async.inherited()

    @bentoml.api
    def streamed(self) -> Iterator[str]:
        yield Case.context.request.headers.get("x-token", "none")

    @bentoml.api
    def fails(self, how: str) -> str:
        if how == "own":
            raise Teapot("short and stout")
        if how == "code":
            raise BentoMLException("said", error_code=HTTPStatus.TOO_MANY_REQUESTS)
        raise NotFound("nothing here")

    @bentoml.api
    def state(self, ctx: bentoml.Context) -> int:
        ctx.state["calls"] = ctx.state.get("calls", 0) + 1
        return int(Case.context.state["calls"])
