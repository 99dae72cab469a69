"""Weights from a web server, in ranges; whatever it does, all of one file or one clear error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import safetensors.torch
import torch

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.loading import load_file, load_files
from bentofn.runtime.weights.sources import http

LARGE = 3 << 20


class Web:
    """A server of one file; a test says what else it does."""

    def __init__(self) -> None:
        self.body = b""
        self.tag: str | None = '"1"'
        self.ranges = True
        self.asked: list[str] = []
        self.before: Callable[[int], int | None] = lambda number: None
        self.cut: Callable[[int], bool] = lambda number: False
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                number = len(web.asked)
                web.asked.append(self.headers["Range"])
                status = web.before(number)
                if self.path == "/moved":
                    self.send_response(302)
                    self.send_header("Location", "/x.safetensors")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if status is None and self.headers["If-Match"] not in (None, web.tag):
                    status = 412
                if status is not None:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
                part = web.body[int(first) : int(last) + 1]
                if not web.ranges:
                    part = web.body
                self.send_response(206 if web.ranges else 200)
                if web.ranges:
                    end = int(first) + len(part) - 1
                    self.send_header("Content-Range", f"bytes {first}-{end}/{len(web.body)}")
                if web.tag:
                    self.send_header("ETag", web.tag)
                self.send_header("Content-Length", str(len(part)))
                self.end_headers()
                if web.cut(number):
                    self.wfile.write(part[: len(part) // 2])
                    self.close_connection = True
                else:
                    self.wfile.write(part)

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that has what it wants, or gives up, hangs up."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/x.safetensors"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(http, "_FIRST_WAIT", 0.001)
    server = Web()
    server.body = safetensors.torch.save(given())
    yield server
    server.close()


def given() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"a": torch.randn(LARGE), "b": torch.arange(10), "c": torch.randn(40, 30)}


def assert_given(found: dict[str, torch.Tensor]) -> None:
    assert found.keys() == given().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in given().items())


def test_all_of_a_file(web: Web) -> None:
    assert_given(load_file(web.url))
    assert len(web.asked) > 2


def test_only_what_is_wanted(web: Web) -> None:
    found = load_files([web.url], slices={"c": (slice(1, 3),)})
    assert torch.equal(found["c"], given()["c"][1:3])
    assert len(web.asked) == 2


def test_a_header_that_is_longer_than_the_first_read(web: Web) -> None:
    many = {f"{'x' * 90}.{i}": torch.full((1,), float(i)) for i in range(3000)}
    web.body = safetensors.torch.save(many)
    assert len(web.body) > http._FIRST_READ
    assert torch.equal(load_file(web.url)[f"{'x' * 90}.2999"], torch.tensor([2999.0]))


def test_it_is_found_where_the_server_leads(web: Web) -> None:
    assert_given(load_file(web.url.replace("x.safetensors", "moved")))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_fails_for_a_moment_is_asked_for_again(web: Web, status: int) -> None:
    web.before = lambda number: status if number % 3 == 0 else None
    assert_given(load_file(web.url))


def test_a_connection_that_breaks_goes_on_where_it_broke(web: Web) -> None:
    web.cut = lambda number: number % 2 == 1
    assert_given(load_file(web.url))


def test_what_fails_for_long_is_one_error(web: Web) -> None:
    web.before = lambda number: 503 if number else None
    with pytest.raises(UserError, match=r"Cannot read http://.*x\.safetensors: 503"):
        load_file(web.url)
    assert len(web.asked) < 100


def test_a_server_that_is_gone(web: Web) -> None:
    port = web.server.server_port
    web.close()
    with pytest.raises(UserError, match="Cannot read http://"):
        load_file(f"http://127.0.0.1:{port}/x.safetensors")


@pytest.mark.parametrize("tag", ['"1"', 'W/"1"', None])
def test_a_file_that_is_replaced_meanwhile(web: Web, tag: str | None) -> None:
    web.tag = tag

    def replace(number: int) -> None:
        if number == 1:
            web.tag = tag and tag.replace("1", "2")
            web.body += b"more"

    web.before = replace
    with pytest.raises(UserError, match=r"x\.safetensors was changed while it was read"):
        load_file(web.url)


def test_a_server_without_ranges(web: Web) -> None:
    web.ranges = False
    with pytest.raises(UserError, match="cannot be read in ranges; download it first"):
        load_file(web.url)


def test_a_file_that_is_not_there(web: Web) -> None:
    web.before = lambda number: 404
    with pytest.raises(UserError, match=r"Cannot read .*x\.safetensors: 404 Not Found"):
        load_file(web.url)


def test_what_is_no_file_of_tensors(web: Web) -> None:
    web.body = b"<html>sign in</html>"
    with pytest.raises(UserError, match=r"x\.safetensors is not a safetensors file but a web page"):
        load_file(web.url)


def test_a_signature_is_in_no_message(web: Web) -> None:
    web.before = lambda number: 403
    with pytest.raises(UserError) as failed:
        load_file(f"{web.url}?X-Amz-Signature=secret")
    assert "secret" not in str(failed.value)


def test_a_file_on_disk_and_one_on_the_web(web: Web, tmp_path: Path) -> None:
    safetensors.torch.save_file({"d": torch.ones(3)}, tmp_path / "d.safetensors")
    found = load_files([web.url, tmp_path / "d.safetensors"])
    assert found.keys() == {*given(), "d"}
    with pytest.raises(UserError, match="both have '"):
        load_files([web.url, web.url])
