"""W3 with BentoML."""

from typing import Any

import bentoml


@bentoml.service(metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Echo:
    @bentoml.api
    async def echo(self, document: dict[str, Any]) -> dict[str, Any]:
        return document
