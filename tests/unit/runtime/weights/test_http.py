"""Weights from a web server: addresses, redirects, TLS, and who asks."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from ranges import Answer, RangeServer

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.loading import load_file, load_files
from bentofn.runtime.weights.sources import attempts
from bentofn.runtime.weights.sources.http import HttpSource


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_FIRST_WAIT", 0.001)


@pytest.fixture
def web() -> Iterator[RangeServer]:
    server = RangeServer(safetensors.torch.save(given()))
    yield server
    server.close()


@pytest.fixture
def other() -> Iterator[RangeServer]:
    server = RangeServer(safetensors.torch.save(given()))
    yield server
    server.close()


def given() -> dict[str, torch.Tensor]:
    return {"a": torch.arange(1000), "b": torch.ones(3, 4)}


def assert_given(found: dict[str, torch.Tensor]) -> None:
    assert found.keys() == given().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in given().items())


def move(web: RangeServer, location: str) -> None:
    """Have a server lead its callers elsewhere."""

    def answer(number: int, answer: Answer) -> None:
        if "there" not in web.paths[number]:
            answer.status, answer.headers, answer.body = 302, {"Location": location}, b"see there"

    web.change = answer


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_fails_for_a_moment_is_asked_for_again(web: RangeServer, status: int) -> None:
    def fail(number: int, answer: Answer) -> None:
        if number % 3 == 0:
            answer.status = status

    web.change = fail
    assert_given(load_file(web.url))


def test_what_fails_for_long_is_one_error(web: RangeServer) -> None:
    def fail(number: int, answer: Answer) -> None:
        if number:
            answer.status = 503

    web.change = fail
    with pytest.raises(UserError, match=r"Cannot read http://.*x\.safetensors: 503"):
        load_file(web.url)
    assert len(web.asked) < 100


def test_a_server_that_is_gone(web: RangeServer) -> None:
    url = web.url
    web.server.shutdown()
    web.server.server_close()
    with pytest.raises(UserError, match=r"Cannot read http://.*refused"):
        load_file(url)


def test_a_compressed_answer_is_refused(web: RangeServer) -> None:
    def compress(number: int, answer: Answer) -> None:
        answer.headers["Content-Encoding"] = "gzip"

    web.change = compress
    with pytest.raises(UserError, match=r"x\.safetensors is sent compressed \(gzip\)"):
        load_file(web.url)
    assert web.asked[0]["Accept-Encoding"] == "identity"


def test_a_length_that_is_not_said(web: RangeServer) -> None:
    def hide(number: int, answer: Answer) -> None:
        answer.headers["Content-Range"] = answer.headers["Content-Range"].partition("/")[0] + "/*"

    web.change = hide
    with pytest.raises(UserError, match="does not say how long it is"):
        load_file(web.url)


@pytest.mark.parametrize("location", ["/there/x", "there/x", "?there"])
def test_it_is_found_where_the_server_leads(web: RangeServer, location: str) -> None:
    move(web, location)
    assert_given(load_file(web.url))


def test_a_server_that_leads_in_circles(web: RangeServer) -> None:
    move(web, "/here")
    with pytest.raises(UserError, match="from one address to another without an end"):
        load_file(web.url)
    assert len(web.asked) < 10


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://["])
def test_a_server_that_leads_nowhere(web: RangeServer, location: str) -> None:
    move(web, location)
    with pytest.raises(UserError, match="is not an address that weights can be read from"):
        load_file(web.url)


def test_only_its_own_host_is_told_who_asks(web: RangeServer, other: RangeServer) -> None:
    move(web, f"http://{other.address}/there")
    source = HttpSource(web.url, {"Authorization": "Bearer hidden"})
    source.close()
    assert web.asked[0]["Authorization"] == "Bearer hidden"
    assert other.asked
    assert not any("Authorization" in headers for headers in other.asked)


def test_a_user_and_a_password_in_the_url_are_sent_and_in_no_message(web: RangeServer) -> None:
    url = web.url.replace("http://", "http://me:hid%40den@")
    assert_given(load_file(url))
    assert web.asked[0]["Authorization"] == f"Basic {b64encode(b'me:hid@den').decode()}"
    assert "@" not in web.asked[0]["Host"]
    web.change = lambda number, answer: setattr(answer, "status", 403)
    with pytest.raises(UserError, match="403") as failed:
        load_file(f"{url}?X-Amz-Signature=hidden")
    assert "hid" not in str(failed.value)
    assert "me:" not in str(failed.value)


def test_spaces_and_letters_of_any_language_in_a_url(web: RangeServer) -> None:
    assert_given(load_file(web.url.replace("x.", "größe 1%20") + "?key=a b"))
    assert web.paths[0] == "/gr%C3%B6%C3%9Fe%201%20safetensors?key=a%20b"


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://a:port/x", "https://a..b/x?k=hidden"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(UserError, match="is not an address") as failed:
        load_file(url)
    assert "hidden" not in str(failed.value)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One that nobody trusts, of 127.0.0.1, with its key."""
    made, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(made)]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    made.write_text(made.read_text() + key.read_text())
    return made


@pytest.fixture
def secure(certificate: Path) -> Iterator[RangeServer]:
    server = RangeServer(safetensors.torch.save(given()), certificate)
    yield server
    server.close()


def test_tls_with_a_certificate_that_is_trusted(
    secure: RangeServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert_given(load_file(f"https://{secure.address}/x.safetensors"))


def test_tls_with_one_that_is_not(secure: RangeServer) -> None:
    with pytest.raises(UserError, match="certificate verify failed"):
        load_file(f"https://{secure.address}/x.safetensors")
    assert not secure.asked


def test_tls_is_not_left(
    secure: RangeServer, certificate: Path, web: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    move(secure, web.url)
    with pytest.raises(UserError, match="leads to http://, which is not encrypted"):
        load_file(f"https://{secure.address}/x.safetensors")
    assert not web.asked


def test_a_file_on_disk_and_one_on_the_web(web: RangeServer, tmp_path: Path) -> None:
    safetensors.torch.save_file({"d": torch.ones(3)}, tmp_path / "d.safetensors")
    found = load_files([web.url, tmp_path / "d.safetensors"])
    assert found.keys() == {*given(), "d"}
    with pytest.raises(UserError, match="both have '"):
        load_files([web.url, web.url])
