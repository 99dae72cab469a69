"""What ``bentoml.validators`` says of arrays, tables and files."""

from __future__ import annotations

import typing as t
from pathlib import Path

import bentoml
import numpy as np
import pandas as pd
import torch
from bentoml.validators import ContentType, DataframeSchema, DType, Shape

Columns = t.Annotated[pd.DataFrame, DataframeSchema(orient="columns", columns=("a", "b"))]
Lines = t.Annotated[t.Generator[str, None, None], ContentType("application/x-ndjson")]


@bentoml.service
class Case:
    @bentoml.api
    def square(self, array: t.Annotated[np.ndarray, Shape((2, 2)), DType("float32")]) -> np.ndarray:
        return array

    @bentoml.api
    def wide(self, array: t.Annotated[np.ndarray, Shape((-1, 2))]) -> list:
        return list(array.shape)

    @bentoml.api
    def tensor(self, tensor: t.Annotated[torch.Tensor, Shape((2,)), DType("float16")]) -> str:
        return f"{tensor.dtype} {list(tensor.shape)}"

    @bentoml.api
    def nested(self, arrays: list[t.Annotated[np.ndarray, DType("int8")]]) -> list[str]:
        return [str(array.dtype) for array in arrays]

    @bentoml.api
    def columns(
        self, table: Columns
    ) -> t.Annotated[pd.DataFrame, DataframeSchema(orient="columns")]:
        return table

    @bentoml.api
    def only_images(self, file: t.Annotated[Path, ContentType("image/*")]) -> int:
        return len(file.read_bytes())

    @bentoml.api
    def audio(self, ctx: bentoml.Context) -> t.Annotated[Path, ContentType("audio/mp3")]:
        path = Path(ctx.temp_dir) / "a.bin"
        path.write_bytes(b"x")
        return path

    @bentoml.api
    def html(self) -> t.Annotated[str, ContentType("text/html")]:
        return "<p>"

    @bentoml.api
    def lines(self) -> Lines:
        yield "1\n"
        yield "2\n"
