"""Batchable methods, asked one by one."""

from __future__ import annotations

import bentoml
import numpy as np


@bentoml.service
class Case:
    @bentoml.api(batchable=True, max_batch_size=4)
    def lengths(self, texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    @bentoml.api(batchable=True)
    async def later(self, texts: list[str]) -> list[str]:
        return [text.upper() for text in texts]

    @bentoml.api(batchable=True)
    def arrays(self, rows: np.ndarray) -> np.ndarray:
        return rows.sum(axis=1)

    @bentoml.api(batchable=True, batch_dim=(1, 0))
    def across(self, columns: np.ndarray) -> np.ndarray:
        return columns.sum(axis=0)

    @bentoml.api(batchable=True)
    def short(self, texts: list[str]) -> list[int]:
        return [1]

    @bentoml.api(batchable=True)
    def fails(self, texts: list[str]) -> list[int]:
        raise bentoml.exceptions.BadInput("no batch")

    @bentoml.api(batchable=True)
    def breaks(self, texts: list[str]) -> list[int]:
        raise ValueError("broken")

    @bentoml.api(batchable=True)
    def root(self, texts: list[str], /) -> list[str]:
        return texts
