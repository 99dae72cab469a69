"""numpy arrays, torch tensors and tables."""

from __future__ import annotations

import bentoml
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray


@bentoml.service
class Case:
    @bentoml.api
    def twice(self, array: np.ndarray) -> np.ndarray:
        return array * 2

    @bentoml.api
    def kind(self, array: np.ndarray) -> str:
        return f"{array.dtype.kind} {array.shape}"

    @bentoml.api
    def typed(self, array: NDArray[np.float32]) -> str:
        return f"{array.dtype} {array.shape}"

    @bentoml.api
    def labels(self) -> np.ndarray:
        return np.array(["rice", None, 3], dtype=object)

    @bentoml.api
    def told(self) -> np.ndarray:
        return {"prediction": [1.5, 2], "of": [{"rice": None}]}

    @bentoml.api
    def texts(self) -> np.ndarray:
        return np.array(["rice", "soup"])

    @bentoml.api
    def listed(self, arrays: list[np.ndarray]) -> list[int]:
        return [array.size for array in arrays]

    @bentoml.api
    def undeclared(self):
        return np.arange(3)

    @bentoml.api
    def inside(self) -> dict:
        return {"array": np.arange(3)}

    @bentoml.api
    def root(self, array: np.ndarray, /) -> float:
        return float(array.sum())

    @bentoml.api
    def tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor + 1

    @bentoml.api
    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(total=table.sum(axis=1))
