"""Weights from a web server and from S3, in ranges: all of one file or one clear error, whatever
the server does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch
from ranges import Answer, RangeServer

from bentofn.runtime.cuda.context import Context
from bentofn.runtime.cuda.library import Library
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.loading import load_file, load_files
from bentofn.runtime.weights.onto import Target, load_onto
from bentofn.runtime.weights.sources import address, attempts, http, open_source, s3
from bentofn.runtime.weights.staging import Staging, Tuning

if TYPE_CHECKING:
    from fakecuda import FakeCuda

LARGE = 3 << 20


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    monkeypatch.setattr(attempts, "_FIRST_WAIT", 0.001)
    monkeypatch.setattr(address, "_TIMEOUT", 0.5)
    monkeypatch.setattr(s3, "_TIMEOUT", 0.5)
    server = RangeServer(safetensors.torch.save(given()))
    for name, value in {
        "AWS_ENDPOINT_URL_S3": f"http://{server.address}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()


@pytest.fixture(params=["http", "s3"])
def url(request: pytest.FixtureRequest, web: RangeServer) -> str:
    return web.url if request.param == "http" else "s3://weights/x.safetensors"


def given() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"a": torch.randn(LARGE), "b": torch.arange(10), "c": torch.randn(40, 30)}


def assert_given(found: dict[str, torch.Tensor]) -> None:
    assert found.keys() == given().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in given().items())


def test_all_of_a_file(web: RangeServer, url: str) -> None:
    assert_given(load_file(url))
    assert len(web.asked) > 2


def test_onto_a_gpu(fake_cuda: FakeCuda, web: RangeServer, url: str) -> None:
    library = Library.find()
    assert library is not None
    staging = Staging(Context(library, 0), Tuning(threads=3, slots=2, slot=2 << 20))
    source = open_source(url)
    assert_given(load_onto(Target(torch.device("cpu"), staging), [source]))
    source.close()
    staging.close()


def test_only_what_is_wanted(web: RangeServer, url: str) -> None:
    found = load_files([url], slices={"c": (slice(1, 3),)})
    assert torch.equal(found["c"], given()["c"][1:3])
    assert len(web.asked) == 2


def test_a_header_that_is_longer_than_the_first_read(web: RangeServer, url: str) -> None:
    many = {f"{'x' * 90}.{i}": torch.full((1,), float(i)) for i in range(3000)}
    web.body = safetensors.torch.save(many)
    assert len(web.body) > http._FIRST_READ
    assert torch.equal(load_file(url)[f"{'x' * 90}.2999"], torch.tensor([2999.0]))


def test_a_connection_that_breaks_goes_on_where_it_broke(web: RangeServer, url: str) -> None:
    def cut(number: int, answer: Answer) -> None:
        if number % 2:
            answer.headers["Content-Length"] = str(len(answer.body))
            answer.body = answer.body[: len(answer.body) // 2]

    web.change = cut
    assert_given(load_file(url))


def test_a_server_that_gives_little_and_hangs_up_is_not_asked_for_ever(
    web: RangeServer, url: str
) -> None:
    def cut(number: int, answer: Answer) -> None:
        if number:
            answer.headers["Content-Length"] = str(len(answer.body))
            answer.body = answer.body[:1000]

    web.change = cut
    with pytest.raises(UserError, match=rf"Cannot read {url}"):
        load_file(url)
    assert len(web.asked) < 100


def test_a_server_that_stalls_is_asked_again(web: RangeServer, url: str) -> None:
    end = threading.Event()

    def stall(number: int, answer: Answer) -> None:
        if number == 1:
            answer.then = end.wait

    web.change = stall
    assert_given(load_file(url))
    end.set()


@pytest.mark.parametrize("tag", ['"1"', 'W/"1"', None])
def test_a_file_that_is_replaced_meanwhile(web: RangeServer, url: str, tag: str | None) -> None:
    web.tag = tag

    def replace(number: int) -> None:
        if number == 1:
            web.tag = tag and tag.replace("1", "2")
            web.body += b"more"

    web.before = replace
    with pytest.raises(UserError, match=r"x\.safetensors was changed while it was read"):
        load_file(url)


def test_a_file_that_is_cut_off_meanwhile(web: RangeServer, url: str) -> None:
    def cut(number: int, answer: Answer) -> None:
        if number:
            answer.status, answer.body, answer.headers = 416, b"", {}

    web.change = cut
    with pytest.raises(UserError, match=r"x\.safetensors was changed while it was read"):
        load_file(url)


def whole(web: RangeServer, answer: Answer) -> None:
    """What a server answers that knows no ranges."""
    answer.status, answer.body = 200, web.body
    del answer.headers["Content-Range"]


def test_a_server_without_ranges(web: RangeServer, url: str) -> None:
    web.change = lambda number, answer: whole(web, answer)
    with pytest.raises(UserError, match="cannot be read in ranges; download it first"):
        load_file(url)


def test_the_whole_file_in_place_of_a_range(web: RangeServer, url: str) -> None:
    web.change = lambda number, answer: whole(web, answer) if number else None
    with pytest.raises(UserError, match="was changed while it was read"):
        load_file(url)


def test_another_range_than_the_one_asked_for(web: RangeServer, url: str) -> None:
    def first(number: int, answer: Answer) -> None:
        if number:
            answer.headers["Content-Range"] = f"bytes 0-{len(answer.body) - 1}/{len(web.body)}"

    web.change = first
    with pytest.raises(UserError, match="was changed while it was read"):
        load_file(url)


def test_more_bytes_than_were_asked_for(web: RangeServer, url: str) -> None:
    def more(number: int, answer: Answer) -> None:
        answer.body += b"HTTP/1.1 206 OK\r\nContent-Length: 5\r\n\r\nother" * 1000

    web.change = more
    assert_given(load_file(url))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_may_not_be_read_is_an_error_without_secrets(
    web: RangeServer, url: str, status: int
) -> None:
    def refuse(number: int, answer: Answer) -> None:
        answer.status, answer.headers, answer.body = status, {}, b""

    web.change = refuse
    with pytest.raises(UserError, match=rf"Cannot read {url}.*{status}") as failed:
        load_file(url)
    assert "hidden" not in str(failed.value)
    assert len(web.asked) == 1


def test_what_is_no_file_of_tensors(web: RangeServer, url: str) -> None:
    web.body = b"<html>sign in</html>"
    with pytest.raises(UserError, match=r"x\.safetensors is not a.* safetensors file"):
        load_file(url)


def test_an_empty_file(web: RangeServer, url: str) -> None:
    web.body = b""
    with pytest.raises(UserError, match=r"x\.safetensors"):
        load_file(url)


def test_a_hundred_loads_leave_no_connection(web: RangeServer, url: str) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def sockets() -> int:
        """Of this process, whose server closes its own some time later."""
        until = time.monotonic() + 30
        while descriptors() > before and time.monotonic() < until:
            time.sleep(0.01)
        return descriptors()

    web.body = safetensors.torch.save({"a": torch.ones(10)})
    load_file(url)
    time.sleep(0.1)
    before = descriptors()
    for turn in range(100):
        web.body = b"<html>" if turn % 2 else safetensors.torch.save({"a": torch.ones(10)})
        if turn % 2:
            with pytest.raises(UserError):
                load_file(url)
        else:
            load_file(url)
    assert sockets() <= before


def test_many_ranges_take_few_connections(web: RangeServer) -> None:
    source = open_source(web.url)
    for turn in range(50):
        thread = threading.Thread(target=source.read, args=(turn, memoryview(bytearray(10))))
        thread.start()
        thread.join()
    source.close()
    assert len(web.asked) == 51
    assert len(web.connections) == 1
