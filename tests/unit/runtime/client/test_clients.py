"""Both clients against an application in this process: every type there and back."""

from __future__ import annotations

import asyncio
import inspect
import io
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import torch
import uvicorn
from PIL import Image
from pydantic import BaseModel

import bentofn
from bentofn import AsyncHTTPClient, SyncHTTPClient
from bentofn.exceptions import (
    BadInput,
    BentoMLException,
    InvalidArgument,
    NotFound,
    ServiceUnavailable,
    UnprocessableEntity,
)
from bentofn.runtime.client.base import Patience
from bentofn.runtime.http.app import ServiceApp

URL = "http://service"


class Point(BaseModel):
    x: float
    y: float = 2.0


class Letter(BaseModel):
    title: str
    pages: list[Path]


class Odd(BentoMLException):
    error_code = 499  # type: ignore[assignment]


ERRORS = {
    "bad": BadInput("no good"),
    "missing": NotFound("not here"),
    "odd": UnprocessableEntity("cannot"),
    "late": ServiceUnavailable("later"),
    "secret": BentoMLException("who", error_code=401),
    "unregistered": Odd("strange"),
}


@bentofn.service(name="types")
class Types:
    @bentofn.api
    def add(self, a: int, b: int = 1) -> int:
        """Add numbers."""
        return a + b

    @bentofn.api
    def scale(self, point: Point, factor: float = 3.0) -> Point:
        return Point(x=point.x * factor, y=point.y * factor)

    @bentofn.api
    def corner(self, point: Point, /) -> Point:
        return point

    @bentofn.api
    def shout(self, text: str, /) -> str:
        return text.upper()

    @bentofn.api
    def choose(self, choice: Literal["a", "b"], /) -> str:
        return choice

    @bentofn.api
    def tomorrow(self, day: date) -> date:
        return day.replace(day=day.day + 1)

    @bentofn.api
    def reverse(self, data: bytes, /) -> bytes:
        return data[::-1]

    @bentofn.api
    def transpose(self, array: np.ndarray) -> np.ndarray:
        return array.T

    @bentofn.api
    def both(self, arrays: list[np.ndarray], frame: pd.DataFrame) -> dict[str, np.ndarray]:
        return {"first": arrays[0], "column": frame["v"].to_numpy()}

    @bentofn.api
    def double(self, tensor: torch.Tensor, /) -> torch.Tensor:
        return tensor * 2

    @bentofn.api
    def frame(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame * 2

    @bentofn.api
    def nothing(self) -> None:
        return None

    @bentofn.api
    def lengths(self, files: list[Path], note: str = "n", more: Path | None = None) -> list[Any]:
        return [*(file.read_bytes().decode() for file in files), note, more is None]

    @bentofn.api
    def copy(self, file: Path, /) -> Path:
        target = file.with_name("ünï copy.txt")
        target.write_bytes(file.read_bytes() * 2)
        return target

    @bentofn.api
    def letter(self, letter: Letter, /) -> str:
        return letter.title + "".join(page.read_text() for page in letter.pages)

    @bentofn.api
    def mirror(self, image: Image.Image) -> Image.Image:
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    @bentofn.api
    def spell(self, word: str) -> Iterator[str]:
        yield from word

    @bentofn.api
    async def points(self, count: int) -> AsyncIterator[Point]:
        for number in range(count):
            yield Point(x=number)

    @bentofn.api
    def fail(self, how: str) -> str:
        raise ERRORS[how]

    @bentofn.api
    def request(self) -> str:
        return "mine"

    @bentofn.api(route="/")
    def __call__(self, x: int) -> int:
        return -x


class Caller:
    """Calls endpoints with either client, and gathers streams."""

    def __init__(self, kind: str) -> None:
        self.kind, self.app = kind, Types.to_asgi()

    def __call__(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if self.kind == "async":
            return asyncio.run(self._awaited(name, args, kwargs))
        with SyncHTTPClient(URL, app=self.app) as client:
            found = getattr(client, name)(*args, **kwargs)
            return _kept(list(found) if inspect.isgenerator(found) else found)

    async def _awaited(self, name: str, args: Any, kwargs: Any) -> Any:
        async with started(self.app), AsyncHTTPClient(URL, app=self.app) as client:
            found = getattr(client, name)(*args, **kwargs)
            if inspect.isasyncgen(found):
                return [each async for each in found]
            return _kept(await found)


def _kept(found: Any) -> Any:
    """A file's name and content, which must not outlive the client."""
    return (found.name, found.read_bytes()) if isinstance(found, Path) else found


@asynccontextmanager
async def started(app: ServiceApp) -> AsyncIterator[None]:
    """An application in this loop; a synchronous client starts it by itself."""
    await app.start()
    yield
    await app.stop()


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Caller:
    return Caller(request.param)


def test_plain_values(call: Caller) -> None:
    assert call("add", 1) == 2
    assert call("add", 1, b=5) == 6
    assert call("nothing") is None
    assert call("scale", point={"x": 1}, factor=2) == {"x": 2, "y": 4}
    assert call("scale", Point(x=1)) == {"x": 3, "y": 6}
    assert call("tomorrow", day=date(2026, 1, 1)) == "2026-01-02"
    assert call("__call__", 4) == -4


def test_bodies_that_are_the_value(call: Caller) -> None:
    assert call("shout", "groß") == "GROSS"
    assert call("choose", "a") == "a"
    assert call("reverse", b"\0ab") == b"ba\0"
    assert call("corner", Point(x=1)) == call("corner", {"x": 1}) == {"x": 1, "y": 2}


def test_arrays_and_frames(call: Caller) -> None:
    turned = call("transpose", np.array([[1, 2], [3, 4]], dtype="int32"))
    assert isinstance(turned, np.ndarray)
    assert turned.tolist() == [[1, 3], [2, 4]]
    frame = pd.DataFrame({"v": [1.5, 2.5]})
    found = call("both", arrays=[np.zeros(2)], frame=frame)
    assert found == {"first": [0, 0], "column": [1.5, 2.5]}
    assert torch.equal(call("double", torch.tensor([1.0, 2.0])), torch.tensor([2.0, 4.0]))
    pd.testing.assert_frame_equal(call("frame", frame), frame * 2)


def test_files(call: Caller, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    given = [tmp_path / "a.txt", str(tmp_path / "a.txt"), io.BytesIO(b"io"), b"raw"]
    assert call("lengths", given, "{}") == ["a", "a", "io", "raw", "{}", True]
    assert call("lengths", given[:1], more=b"x") == ["a", "n", False]
    assert call("letter", {"title": "Dear ", "pages": given[:1]}) == "Dear a"
    assert call("copy", tmp_path / "a.txt") == ("ünï copy.txt", b"aa")


def test_images(call: Caller, tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1))
    image.putpixel((0, 0), (255, 0, 0))
    image.save(tmp_path / "a.png")
    for given in (image, Image.open(tmp_path / "a.png"), tmp_path / "a.png"):
        answer = call("mirror", given)
        assert (answer.size, answer.getpixel((1, 0))) == ((2, 1), (255, 0, 0))


def test_streams(call: Caller) -> None:
    assert "".join(call("spell", "größe")) == "größe"
    assert call("points", 3) == [{"x": n, "y": 2} for n in range(3)]


@pytest.mark.parametrize(
    ("how", "kind", "status"),
    [
        ("bad", InvalidArgument, 400),
        ("missing", NotFound, 404),
        ("odd", UnprocessableEntity, 422),
        ("late", ServiceUnavailable, 503),
        ("secret", BentoMLException, 401),
        ("unregistered", InvalidArgument, 400),
    ],
)
def test_errors(call: Caller, how: str, kind: type[BentoMLException], status: int) -> None:
    with pytest.raises(kind) as raised:
        call("fail", how)
    assert type(raised.value) is kind
    assert raised.value.error_code == status
    if status in (400, 404, 422):
        assert str(ERRORS[how]) in str(raised.value)


def test_wrong_arguments_are_not_sent(call: Caller) -> None:
    for args, kwargs, said in (
        ((), {}, "Missing required arguments in endpoint add: a."),
        ((1, 2, 3), {}, "takes 2 positional arguments, but 3 were given"),
        ((1,), {"a": 1}, "several values for a"),
        ((1,), {"c": 1}, "Arguments not found in endpoint add: c; it takes a, b."),
        ((object(),), {}, "cannot be written as JSON"),
    ):
        with pytest.raises(TypeError, match=said):
            call("add", *args, **kwargs)
    with pytest.raises(TypeError, match="one positional argument"):
        call("shout", text="a")
    with pytest.raises(FileNotFoundError):
        call("copy", "/nowhere/x")
    with pytest.raises(InvalidArgument):
        call("add", "one")


def test_names_that_every_client_has(call: Caller) -> None:
    assert call("api_request") == "mine"
    assert call("call", "add", 1, 2) == 3
    with pytest.raises(NotFound, match="Endpoint gone not found"):
        call("call", "gone")
    with pytest.raises(AttributeError, match="has no endpoint 'gone'; it has __call__, add"):
        call("gone")


def test_answers_have_their_declared_types_where_the_class_is_at_hand() -> None:
    with SyncHTTPClient(URL, service=Types, app=Types.to_asgi()) as client:
        assert client.scale(Point(x=1)) == Point(x=3, y=6)
        assert client.tomorrow(date(2026, 1, 1)) == date(2026, 1, 2)
        assert list(client.points(1)) == [Point(x=0)]
        assert client.add.__doc__ == "Add numbers."
        assert client(x=1) == -1
        assert client.is_ready()
        assert client.request("GET", "/livez").status_code == 200


@bentofn.service(path_prefix="/v1")
class Below:
    @bentofn.api
    def whoever(self, ctx: bentofn.Context) -> str:
        return ctx.request.headers["authorization"]


def test_a_service_below_a_prefix_and_a_token() -> None:
    with SyncHTTPClient(URL, app=Below.to_asgi(), token="secret") as client:
        assert client.is_ready()
        assert client.whoever() == "Bearer secret"


def test_an_asynchronous_client_is_set_up_first() -> None:
    with pytest.raises(RuntimeError, match="use it as an async context manager"):
        AsyncHTTPClient(URL).add  # noqa: B018


def test_a_new_client_keeps_no_connection(tmp_path: Path) -> None:
    """A service that makes a client when it starts can be snapshotted."""
    path = tmp_path / "s"
    server = uvicorn.Server(uvicorn.Config(Types.to_asgi(), uds=str(path), log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with SyncHTTPClient(f"unix://{path}") as client:
            pool = client.client._transport._pool
            assert pool.connections == []
            assert client.add(1) == 2
            assert len(pool.connections) == 1
    finally:
        server.should_exit = True
        thread.join()


def test_no_service_answers() -> None:
    with pytest.raises(ServiceUnavailable, match=r"not ready after 0\.1 seconds"):
        SyncHTTPClient("http://127.0.0.1:1", server_ready_timeout=0.1)
    with pytest.raises(BentoMLException, match="no URL of a service"):
        SyncHTTPClient("127.0.0.1:3000")


def test_questions_are_asked_less_and_less_often() -> None:
    patience = Patience(60)
    waits = [patience.next_wait() for _ in range(8)]
    assert waits == sorted(waits)
    assert waits[0] == 0.02
    assert waits[-1] == 1.0
    with pytest.raises(ServiceUnavailable):
        Patience(0).next_wait()
