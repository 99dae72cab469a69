"""A first service: no model yet, so that it builds in seconds."""

from __future__ import annotations

import bentofn


@bentofn.service(name="hello", traffic={"timeout": 10})
class Hello:
    """Greets."""

    def __init__(self) -> None:
        self.greeting = "Hello"  # load your model here, once per instance

    @bentofn.api(examples=[{"name": "world"}])
    def greet(self, name: str) -> str:
        """Say hello to somebody."""
        return f"{self.greeting}, {name}!"
