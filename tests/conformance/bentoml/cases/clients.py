"""What the clients of both send and understand."""

from __future__ import annotations

import typing as t
from http import HTTPStatus
from pathlib import Path

import bentoml
import numpy as np
import pandas as pd
import torch
from PIL import Image as PILImage
from PIL.Image import Image
from pydantic import BaseModel


class Point(BaseModel):
    x: float
    y: float = 2.0


@bentoml.service
class Case:
    @bentoml.api
    def add(self, a: int, b: int = 1) -> int:
        return a + b

    @bentoml.api
    def scale(self, point: Point, factor: float = 3.0) -> Point:
        return Point(x=point.x * factor, y=point.y * factor)

    @bentoml.api
    def corner(self, point: Point, /) -> Point:
        return point

    @bentoml.api
    def shout(self, text: str, /) -> str:
        return text.upper()

    @bentoml.api
    def reverse(self, data: bytes, /) -> bytes:
        return data[::-1]

    @bentoml.api
    def transpose(self, array: np.ndarray) -> np.ndarray:
        return array.T

    @bentoml.api
    def grow(self, array: np.ndarray, /) -> np.ndarray:
        return array * 2

    @bentoml.api
    def double(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor * 2

    @bentoml.api
    def frame(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame * 2

    @bentoml.api
    def nested(self, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
        return {"first": arrays[0]}

    @bentoml.api
    def texts(self, files: list[Path], note: str = "n") -> list[str]:
        return [*(file.read_bytes().decode() for file in files), note]

    @bentoml.api
    def copy(self, file: Path) -> Path:
        target = file.parent / "copy.txt"
        target.write_bytes(file.read_bytes() * 2)
        return target

    @bentoml.api
    def length(self, file: Path, /) -> int:
        return len(file.read_bytes())

    @bentoml.api
    def mirror(self, image: Image) -> Image:
        return image.transpose(PILImage.Transpose.FLIP_LEFT_RIGHT)

    @bentoml.api
    def spell(self, word: str) -> t.Iterator[str]:
        yield from word

    @bentoml.api
    def nothing(self) -> None:
        return None

    @bentoml.api
    def request(self) -> str:
        return "mine"

    @bentoml.api
    def fail(self, status: int) -> str:
        raise bentoml.exceptions.BentoMLException("why", error_code=HTTPStatus(status))
