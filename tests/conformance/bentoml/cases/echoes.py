"""Every type in and out again, by methods that answer whatever their types allow."""

from __future__ import annotations

import typing as t
from pathlib import Path

import bentoml
import numpy as np
import pandas as pd
import PIL.Image
import torch
from bentoml.validators import DType, Shape
from numpy.typing import NDArray
from PIL.Image import Image
from pydantic import BaseModel, Field

Matrix = t.Annotated[np.ndarray, Shape((-1, 3)), DType("float32")]
Row = t.Annotated[torch.Tensor, Shape((1, -1)), DType("int32")]


class Letter(BaseModel):
    title: str
    text: Path
    pages: list[Path] = []


@bentoml.service
class Case:
    @bentoml.api
    def array(self, array: np.ndarray) -> np.ndarray:
        return array

    @bentoml.api
    def transpose(self, array: np.ndarray) -> np.ndarray:
        return array.T

    @bentoml.api
    def matrix(self, array: Matrix) -> Matrix:
        return array * 2

    @bentoml.api
    def numbers(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        return array * 2

    @bentoml.api
    def root_array(self, array: np.ndarray, /) -> np.ndarray:
        return array

    @bentoml.api
    def arrays(self, arrays: list[np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
        return dict(zip(names, arrays, strict=False))

    @bentoml.api
    def tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    @bentoml.api
    def row(self, tensor: Row) -> Row:
        return tensor

    @bentoml.api
    def root_tensor(self, tensor: torch.Tensor, /) -> torch.Tensor:
        return tensor

    @bentoml.api
    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        return table

    @bentoml.api
    def root_table(self, table: pd.DataFrame, /) -> pd.DataFrame:
        return table

    @bentoml.api(batchable=True)
    def batch(self, rows: Matrix) -> np.ndarray:
        return rows.sum(axis=1)

    @bentoml.api(batchable=True)
    def table_batch(self, table: pd.DataFrame) -> pd.DataFrame:
        return table

    @bentoml.api(batchable=True, batch_dim=(1, 0))
    def across(self, columns: Matrix) -> np.ndarray:
        return columns.sum(axis=0)

    @bentoml.api(batchable=True)
    def any_batch(self, array: np.ndarray) -> np.ndarray:
        return array

    @bentoml.api(batchable=True, max_batch_size=2)
    async def tensor_batch(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    @bentoml.api
    def named(self, file: Path, name: str, count: int = 1) -> list[t.Any]:
        return [name, count, len(file.read_bytes())]

    @bentoml.api
    def texts(self, files: list[Path], note: str = "n") -> list[str]:
        return [*(file.read_bytes().hex() for file in files), note]

    @bentoml.api
    def letter(self, letter: Letter, /) -> list[t.Any]:
        return [letter.title, letter.text.stat().st_size, len(letter.pages)]

    @bentoml.api
    def paints(self, width: t.Annotated[int, Field(ge=1, le=99)]) -> Image:
        return PIL.Image.new("RGB", (width, 1), "red")

    @bentoml.api
    def mirror(self, image: Image) -> Image:
        return image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
