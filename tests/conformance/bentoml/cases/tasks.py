"""Tasks: what can be asked without knowing an id."""

from __future__ import annotations

import bentoml


@bentoml.service
class Case:
    @bentoml.task
    def double(self, n: int) -> int:
        if n < 0:
            raise bentoml.exceptions.BadInput("negative")
        return 2 * n

    @bentoml.api
    def plain(self, n: int) -> int:
        return n
