"""What a service answers beside its methods, below a path prefix of its own."""

from __future__ import annotations

import bentoml


@bentoml.service(name="surroundings", path_prefix="/v1")
class Case:
    @bentoml.api
    def hello(self, name: str = "you") -> str:
        """Greets."""
        return f"Hello, {name}!"

    @bentoml.api
    def counted(self, name: str) -> str:
        return name

    @bentoml.api
    def call(self) -> str:
        return "called"

    def __is_alive__(self) -> bool:
        return True
