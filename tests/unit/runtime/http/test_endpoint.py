"""What an endpoint takes beside JSON: forms, files, images, the context; and batches."""

from __future__ import annotations

import asyncio
import contextvars
import io
import random
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import bentofn

caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="nobody")


@bentofn.service
class Files:
    def __init__(self) -> None:
        self.seen: list[Path] = []

    @bentofn.api
    def describe(self, file: Path, label: str, numbers: list[int], note: str = "none") -> str:
        self.seen.append(file)
        return f"{file.name} {file.read_text()} {label} {numbers} {note}"

    @bentofn.api
    def count(self, files: list[Path], extra: Optional[Path] = None) -> int:  # noqa: UP045
        return len(files) + (extra is not None)

    @bentofn.api
    def say(self, word: Optional[str] = "unsaid") -> str:  # noqa: UP045
        return str(word)

    @bentofn.api
    def body(self, body: dict[str, Any], /) -> dict[str, Any]:
        return body

    @bentofn.api
    def echo(self, text: str, /) -> str:
        return text

    @bentofn.api
    def whole(self, file: Path, /) -> int:
        return len(file.read_bytes())

    @bentofn.api
    def flip(self, picture: Image.Image, /) -> Image.Image:
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    @bentofn.api
    def report(self, ctx: bentofn.Context) -> Path:
        path = Path(ctx.temp_dir) / "report.txt"
        path.write_text("all is well")
        self.seen.append(path)
        return path

    @bentofn.api
    def picture(self, ctx: bentofn.Context) -> Path:
        path = Path(ctx.temp_dir) / "dot.png"
        path.write_bytes(png())
        return path

    @bentofn.api
    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(total=frame["a"] + frame["b"])


@bentofn.service
class Reads:
    @bentofn.api
    def width(self, picture: Image.Image, /) -> int:
        return picture.width


def png() -> bytes:
    buffer = io.BytesIO()
    image = Image.new("RGB", (2, 1))
    image.putpixel((0, 0), (255, 0, 0))
    image.save(buffer, "PNG")
    return buffer.getvalue()


def multipart(*parts: tuple[str, str | None, bytes]) -> tuple[bytes, dict[str, str]]:
    """A form of (name, file name, content)."""
    body = b""
    for name, filename, content in parts:
        file = "" if filename is None else f'; filename="{filename}"'
        head = f'--B\r\ncontent-disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + b"--B--\r\n", {"content-type": "multipart/form-data; boundary=B"}


async def test_a_form_with_a_file(open_app: Any) -> None:
    body, headers = multipart(
        ("file", "../../etc/a.txt", b"hello"), ("label", None, b"12"), ("numbers", None, b"[1, 2]")
    )
    async with open_app(Files) as client:
        answer = await client.post("/describe", body, headers=headers)
        (seen,) = client.app.instance.seen
    assert (answer.status, answer.text) == (200, "a.txt hello 12 [1, 2] none")
    assert not seen.exists()
    assert not seen.parent.parent.exists()


async def test_repeated_fields_make_a_list(open_app: Any) -> None:
    body, headers = multipart(
        ("file", "a", b""), ("label", None, b"x"), ("numbers", None, b"1"), ("numbers", None, b"2")
    )
    two, _ = multipart(("files", "a", b"1"), ("files", "a", b"2"))
    three, _ = multipart(("files", "a", b"1"), ("files", "a", b"2"), ("extra", "a", b""))
    async with open_app(Files) as client:
        answer = await client.post("/describe", body, headers=headers)
        counts = [
            (await client.post("/count", each, headers=headers)).json for each in (two, three)
        ]
    assert answer.text == "a  x [1, 2] none"
    assert counts == [2, 3]


async def test_a_file_that_is_not_a_file_is_400(open_app: Any) -> None:
    body, headers = multipart(("files", None, b"/etc/passwd"))
    async with open_app(Files) as client:
        form = await client.post("/count", body, headers=headers)
        listed = await client.post("/count", {"files": ["/etc/passwd"]})
        broken = await client.post(
            "/count", b"--X", headers={"content-type": "multipart/form-data"}
        )
        image = await client.post("/flip", b"not an image", headers={"content-type": "image/png"})
    assert [each.status for each in (form, listed, broken, image)] == [400] * 4
    assert "multipart form" in form.json["detail"][0]["msg"]
    assert "not an image" in image.json["detail"][0]["msg"]


async def test_a_root_file_and_a_root_image(open_app: Any) -> None:
    body, headers = multipart(("anything", "a.bin", b"1234"))
    async with open_app(Files) as client:
        raw = await client.post("/whole", b"123", headers={"content-type": "text/csv"})
        form = await client.post("/whole", body, headers=headers)
        picture = await client.post("/flip", png(), headers={"content-type": "image/png"})
    assert (raw.json, form.json) == (3, 4)
    assert picture.headers["content-type"] == "image/png"
    flipped = Image.open(io.BytesIO(picture.body))
    assert flipped.getpixel((1, 0)) == (255, 0, 0)


def written(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


async def test_an_image_that_a_program_would_have_to_draw_is_refused(open_app: Any) -> None:
    eps = written(Image.new("RGB", (2, 1)), "EPS")
    async with open_app(Files) as client:
        answer = await client.post("/flip", eps, headers={"content-type": "image/png"})
    assert answer.status == 400
    assert "EPS files are not read" in answer.json["detail"][0]["msg"]


async def test_an_image_of_too_many_pixels_is_refused(open_app: Any) -> None:
    bomb = written(Image.new("1", (20_000, 10_000)), "PNG")
    async with open_app(Files) as client:
        answer = await client.post("/flip", bomb, headers={"content-type": "image/png"})
    assert (answer.status, "not an image" in answer.text) == (400, True)


@pytest.mark.parametrize("form", ["PNG", "GIF", "TIFF", "ICO", "PCX", "TGA", "SGI", "DDS"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
async def test_a_damaged_image_is_the_callers_fault(open_app: Any, form: str) -> None:
    whole = written(Image.new("RGB", (16, 16), (1, 2, 3)), form)
    dice = random.Random(form)
    async with open_app(Reads) as client:
        for _ in range(40):
            damaged = bytearray(whole[: dice.randint(8, len(whole))])
            for _ in range(4):
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
            answer = await client.post("/width", bytes(damaged))
            assert answer.status in (200, 400), damaged


async def test_a_path_is_a_download(open_app: Any) -> None:
    async with open_app(Files) as client:
        report = await client.post("/report", {})
        picture = await client.post("/picture", {})
        (seen,) = client.app.instance.seen
    assert (report.text, report.headers["content-type"]) == (
        "all is well",
        "text/plain; charset=utf-8",
    )
    assert report.headers["content-disposition"] == 'attachment; filename="report.txt"'
    assert picture.headers["content-disposition"] == 'inline; filename="dot.png"'
    assert not seen.parent.exists()


async def test_a_data_frame_is_a_list_of_records(open_app: Any) -> None:
    async with open_app(Files) as client:
        answer = await client.post("/rows", {"frame": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]})
        wrong = await client.post("/rows", {"frame": 1})
    assert answer.json == [{"a": 1, "b": 2, "total": 3}, {"a": 3, "b": 4, "total": 7}]
    assert wrong.status == 400


async def test_a_data_frame_of_columns(open_app: Any) -> None:
    async with open_app(Files) as client:
        answer = await client.post("/rows", {"frame": {"a": [1, 3], "b": [2, 4]}})
    assert [row["total"] for row in answer.json] == [3, 7]


async def test_a_field_may_come_as_a_file_and_as_null(open_app: Any) -> None:
    body, headers = multipart(
        ("file", "a", b""), ("label", "label.txt", b"x"), ("numbers", "n.json", b"[1]")
    )
    missing, _ = multipart(("word", None, b"null"))
    async with open_app(Files) as client:
        answer = await client.post("/describe", body, headers=headers)
        nothing = await client.post("/say", missing, headers=headers)
    assert answer.text == "a  x [1] none"
    assert nothing.text == "None"


async def test_a_form_for_a_whole_body(open_app: Any) -> None:
    urlencoded = {"content-type": "application/x-www-form-urlencoded"}
    body, headers = multipart(("a", None, b"1"), ("b", None, b"x"))
    async with open_app(Files) as client:
        model = await client.post("/body", b"a=1&b=2", headers=urlencoded)
        form = await client.post("/body", body, headers=headers)
        text = await client.post("/echo", b"what curl sends", headers=urlencoded)
        empty = await client.post("/body", b"")
        broken = await client.post("/echo", b"\xff")
    assert (model.json, form.json) == ({"a": 1, "b": 2}, {"a": 1, "b": "x"})
    assert (text.text, empty.json, broken.status) == ("what curl sends", {}, 400)


async def test_an_urlencoded_form(open_app: Any) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    async with open_app(Contexts) as client:
        answer = await client.post("/add", b"a=1&b=2", headers=headers)
    assert answer.json == 3


async def test_json_that_curl_labels_as_a_form(open_app: Any) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    async with open_app(Contexts) as client:
        answer = await client.post("/add", b' {"a": 1, "b": 2}', headers=headers)
    assert answer.json == 3


@bentofn.service
class Contexts:
    @bentofn.api
    def add(self, a: int, b: int) -> int:
        return a + b

    @bentofn.api
    async def describe(self, n: int, ctx: bentofn.Context) -> str:
        ctx.state["calls"] = ctx.state.get("calls", 0) + n
        body = await ctx.request.body()
        ctx.response.status_code = 201
        ctx.response.headers["X-Own"] = "yes"
        ctx.response.headers["Content-Type"] = "text/markdown"
        ctx.response.set_cookie("session", "1", max_age=60, httponly=True)
        return f"{ctx.request.headers['x-from']} {body.decode()} {ctx.state['calls']}"

    @bentofn.api
    def who(self, context) -> str:  # type: ignore[no-untyped-def]
        return caller.get()


async def test_the_context(open_app: Any) -> None:
    async with open_app(Contexts) as client:
        await client.post("/describe", {"n": 1}, headers={"x-from": "me"})
        answer = await client.post("/describe", {"n": 2}, headers={"x-from": "me"})
    assert (answer.status, answer.text) == (201, 'me {"n": 2} 3')
    assert answer.headers["x-own"] == "yes"
    assert answer.headers["content-type"] == "text/markdown"
    cookie = "session=1; HttpOnly; Max-Age=60; Path=/; SameSite=lax"
    assert answer.headers["set-cookie"] == cookie


async def test_context_variables_reach_the_threads(open_app: Any) -> None:
    async with open_app(Contexts) as client:
        caller.set("the test")
        answer = await client.post("/who", {})
    assert answer.text == "the test"


@bentofn.service
class Batches:
    def __init__(self) -> None:
        self.sizes: list[int] = []

    @bentofn.api(batchable=True, max_batch_size=8)
    def double(self, numbers: list[int]) -> list[int]:
        self.sizes.append(len(numbers))
        return [2 * number for number in numbers]

    @bentofn.api(batchable=True)
    async def norm(self, vectors: np.ndarray, /, *, ctx: bentofn.Context) -> np.ndarray:
        assert ctx is not None
        return np.linalg.norm(vectors, axis=1)

    @bentofn.api(batchable=True)
    def short(self, numbers: list[int]) -> list[int]:
        return numbers[1:]


async def test_concurrent_requests_share_batches(open_app: Any) -> None:
    async with open_app(Batches) as client:
        bodies = [{"numbers": [number, -number]} for number in range(10)]
        answers = await asyncio.gather(*(client.post("/double", body) for body in bodies))
        sizes = client.app.instance.sizes
        metrics = (await client.get("/metrics")).text
    assert [each.json for each in answers] == [[2 * n, -2 * n] for n in range(10)]
    assert sum(sizes) == 20
    assert max(sizes) == 8
    assert {int(each.headers["x-bentofn-batch-size"]) for each in answers} <= set(sizes)
    assert "x-bentofn-batch-size" in answers[0].headers
    assert f'adaptive_batch_size_count{{method_name="double",{LABELS}}} {len(sizes)}.0' in metrics


async def test_a_batchs_times_are_told_to_who_asks(open_app: Any) -> None:
    async with open_app(Batches) as client:
        plain = await client.post("/double", {"numbers": [1]})
        asked = await client.post("/double", {"numbers": [1]}, headers={"x-bentofn-timed": "1"})
    assert "x-bentofn-batch-seconds" not in plain.headers
    assert asked.headers["x-bentofn-batch-size"] == "1"
    waited, took = map(float, asked.headers["x-bentofn-batch-seconds"].split())
    assert waited == 0
    assert took > 0


LABELS = (
    'runner_name="Batches",service_name="Batches",service_version="not available",worker_index="1"'
)


async def test_arrays_are_batched(open_app: Any) -> None:
    async with open_app(Batches) as client:
        answers = await asyncio.gather(
            client.post("/norm", [[3, 4]]), client.post("/norm", [[6, 8], [0, 1]])
        )
    assert [each.json for each in answers] == [[5.0], [10.0, 1.0]]


async def test_an_answer_of_the_wrong_length_is_500(open_app: Any) -> None:
    async with open_app(Batches) as client:
        answer = await client.post("/short", {"numbers": [1, 2]})
    assert answer.status == 500
