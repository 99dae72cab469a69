"""Files and images, in and out."""

from __future__ import annotations

from pathlib import Path

import bentoml
import PIL.Image
from PIL.Image import Image
from pydantic import BaseModel


class Letter(BaseModel):
    title: str
    text: Path
    pages: list[Path] = []


@bentoml.service(traffic={"timeout": 5})
class Case:
    @bentoml.api
    def length(self, file: Path) -> int:
        return len(file.read_bytes())

    @bentoml.api
    def suffix(self, file: Path) -> str:
        return file.suffix

    @bentoml.api
    def named(self, file: Path, name: str, count: int = 1) -> str:
        return name * count + file.read_text()

    @bentoml.api
    def several(self, files: list[Path]) -> list[int]:
        return [len(file.read_bytes()) for file in files]

    @bentoml.api
    def called(self, file: Path) -> str:
        return file.name

    @bentoml.api
    def letter(self, letter: Letter, /) -> str:
        return f"{letter.title}: {letter.text.read_text()}"

    @bentoml.api
    def letters(self, letter: Letter, copies: int = 1) -> str:
        return letter.title * copies

    @bentoml.api
    def root(self, file: Path, /) -> int:
        return len(file.read_bytes())

    @bentoml.api
    def writes(self, ctx: bentoml.Context, name: str = "answer.txt") -> Path:
        path = Path(ctx.temp_dir) / name
        path.write_text("answer")
        return path

    @bentoml.api
    def missing(self) -> Path:
        return Path("/nowhere/at/all")

    @bentoml.api
    def size(self, image: Image) -> list[int]:
        return [*image.size]

    @bentoml.api
    def sizes(self, images: list[Image], factor: int = 1) -> list[int]:
        return [image.width * factor for image in images]

    @bentoml.api
    def root_image(self, image: Image, /) -> list[int]:
        return [*image.size]

    @bentoml.api
    def paints(self, width: int) -> Image:
        return PIL.Image.new("RGB", (width, 1), "red")

    @bentoml.api
    def folder(self) -> list[Path]:
        return [Path(__file__)]
