"""Plain values, models and defaults, in and out."""

from __future__ import annotations

import datetime
import math
import typing as t

import bentoml
from pydantic import AliasChoices, BaseModel, Field


class Dish(BaseModel):
    name: str
    price: float = Field(1.5, gt=0)
    tags: list[str] = []


class Priced(Dish):
    currency: str = "kr"


class Order(BaseModel):
    table: int = Field(alias="tableNumber")
    dishes: list[str] = []


@bentoml.service
class Case:
    @bentoml.api
    def text(self, text: str) -> str:
        return text.upper()

    @bentoml.api
    def number(self, count: int, factor: float = 2.0) -> float:
        return count * factor

    @bentoml.api
    def flag(self, flag: bool) -> bool:
        return not flag

    @bentoml.api
    def data(self, payload: bytes) -> bytes:
        return payload

    @bentoml.api
    def maybe(self, word: str | None = None) -> str | None:
        return word

    @bentoml.api
    def field(self, size: t.Annotated[int, Field(ge=0, le=10)] = 3, name: str = Field("x")) -> dict:
        return {"size": size, "name": name}

    @bentoml.api
    def pairs(self, items: list[tuple[str, int]]) -> dict[str, int]:
        return dict(items)

    @bentoml.api
    def dish(self, dish: Dish) -> Dish:
        return dish

    @bentoml.api
    def menu(self, dishes: list[Dish]) -> list[Dish]:
        return dishes[::-1]

    @bentoml.api
    def root(self, dish: Dish, /) -> Dish:
        return dish

    @bentoml.api
    def root_text(self, text: str, /) -> str:
        return text

    @bentoml.api
    def root_bytes(self, payload: bytes, /) -> int:
        return len(payload)

    @bentoml.api
    def rest(self, first: int, **others: t.Any) -> dict:
        return {"first": first, **others}

    @bentoml.api
    def more(self, first: int, *others: int) -> list[int]:
        return [first, *others]

    @bentoml.api
    def numbers(self, items: list[int]) -> int:
        return sum(items)

    @bentoml.api
    def nothing(self):
        return None

    @bentoml.api
    def bare(self, what: str):
        return {"text": "words", "list": [1, 2], "number": 3, "bytes": b"raw"}[what]

    @bentoml.api
    def union(self, value: int | str) -> int | str:
        return value

    @bentoml.api
    def literal(self, size: t.Literal["small", "large"]) -> str:
        return size

    @bentoml.api
    def day(self, day: datetime.date) -> datetime.date:
        return day + datetime.timedelta(days=1)

    @bentoml.api
    def infinite(self) -> float:
        return math.inf

    @bentoml.api
    def holes(self) -> list[float]:
        return [1.0, math.nan]

    @bentoml.api
    def model_of_dict(self) -> Dish:
        return {"name": "soup", "price": 2}  # type: ignore[return-value]

    @bentoml.api
    def wrong_output(self) -> int:
        return "many"  # type: ignore[return-value]

    @bentoml.api
    async def later(self, text: str) -> str:
        return text[::-1]

    @bentoml.api(route="/elsewhere")
    def somewhere(self, text: str) -> str:
        return text

    @bentoml.api
    def aliased(
        self,
        size: int = Field(2, alias="sizeInCm"),
        name: str = Field("x", validation_alias="theName"),
        *,
        depth: t.Annotated[int, Field(alias="d", ge=0)] = 1,
        width: int = Field(3, validation_alias=AliasChoices("w", "wide")),
    ) -> dict:
        return {"size": size, "name": name, "depth": depth, "width": width}

    @bentoml.api
    def ordered(self, order: Order, /) -> dict:
        return {"table": order.table, "dishes": order.dishes}

    @bentoml.api(input_spec=Order)
    def specified(self, table: int, dishes: list[str]) -> dict:
        return {"table": table, "dishes": dishes}

    @bentoml.api
    def subclass(self) -> Dish:
        return Priced(name="soup")

    @bentoml.api
    def any_model(self) -> BaseModel:
        return Priced(name="soup")

    @bentoml.api(output_spec=Dish)
    def subclass_of_spec(self):
        return Priced(name="soup")

    @bentoml.api
    def subclasses(self) -> list[Dish]:
        return [Priced(name="soup")]

    @bentoml.api
    def optional_subclass(self) -> Dish | None:
        return Priced(name="soup")
