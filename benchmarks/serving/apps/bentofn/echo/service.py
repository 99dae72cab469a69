"""W3 with bentofn."""

from typing import Any

import bentofn


@bentofn.service(name="bench-echo")
class Echo:
    @bentofn.api(examples=[{"document": {}}])
    async def echo(self, document: dict[str, Any]) -> dict[str, Any]:
        return document
