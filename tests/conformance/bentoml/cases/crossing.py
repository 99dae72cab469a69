"""Requests from other origins, and routes with parameters."""

from __future__ import annotations

import bentoml


@bentoml.service(
    http={
        "cors": {
            "enabled": True,
            "access_control_allow_origins": ["http://one.example", "http://two.example"],
            "access_control_allow_methods": ["GET", "POST", "OPTIONS"],
            "access_control_allow_headers": ["X-Token"],
            "access_control_allow_credentials": True,
            "access_control_expose_headers": ["X-From-Service"],
            "access_control_max_age": 60,
        }
    }
)
class Case:
    @bentoml.api(route="/items/{item}")
    def item(self, ctx: bentoml.Context, text: str = "t") -> dict[str, str]:
        return {**ctx.request.path_params, "text": text}

    @bentoml.api(route="/items/last")
    def last(self) -> str:
        return "last"

    @bentoml.api(route="/items/{item}/parts/{part}")
    def part(self, ctx: bentoml.Context) -> dict[str, str]:
        return dict(ctx.request.path_params)

    @bentoml.api(route="/files/{name:path}")
    def file(self, ctx: bentoml.Context) -> dict[str, str]:
        return dict(ctx.request.path_params)

    @bentoml.api(route="/numbers/{n:int}")
    def number(self, ctx: bentoml.Context) -> dict[str, int]:
        return dict(ctx.request.path_params)
