"""Bad input and bad handlers: the platform stays up, and other functions do not notice."""

from __future__ import annotations

import json
import resource
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import awslambdaric
import httpx
import pytest
from instances import PYTHON, make_root

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.url import Cors, Url
from bentofn.packager.home import Home
from bentofn.runtime.manifest import APIContract, BentoManifest
from bentofn.runtime.namespaces import Namespaces

SERVICE = """
import os
import time

import bentofn


@bentofn.service
class Wild:
    @bentofn.api
    def say(self, word: str) -> str:
        return word

    @bentofn.api
    def hang(self) -> None:
        time.sleep(3600)

    @bentofn.api
    def shout(self) -> str:
        megabyte = (b"x" * 1023 + b"\\n") * 1024
        for _ in range(1024):
            os.write(1, megabyte)
        return "hoarse"

    @bentofn.api
    def look(self, place: str) -> list[str]:
        return os.listdir(place)

    @bentofn.api
    def leave(self) -> None:
        os._exit(7)
"""

LIMIT = 20.0
"""Seconds in which the platform answers; a bound for a busy machine, not a claim."""
CONNECTIONS = 3000


class Platform:
    """A platform with ``calm``, which nobody may disturb, and three that are not."""

    def __init__(self, home: Home, root: Path) -> None:
        self.home = home
        adapter = LocalAdapter(home, port=0)
        cors = Cors(origins=("https://app.example",))
        plain = {"snapshot": "none", "cpu": 0}
        for name, settings in (
            ("calm", FunctionSettings(**plain, min_instances=1, url=Url(cors))),
            ("loud", FunctionSettings(**plain)),
            ("wild", FunctionSettings(**plain, timeout=2.0)),
            ("lambda", FunctionSettings(profile="lambda", cpu=0, memory=512, url=Url())),
        ):
            adapter.apply(FunctionSpec(name, str(root), settings), lambda _: None, wait=False)
        endpoint = daemon.status(home)
        assert endpoint is not None
        self.endpoint = endpoint

    def assert_calm(self) -> None:
        """Another function answers, and by the instance that it had."""
        answer = self.post("calm/say", word="calm")
        assert (answer.status_code, answer.text) == (200, "calm")
        assert answer.headers["X-Bentofn-Start"] == "warm"

    def post(self, path: str, **body: str) -> httpx.Response:
        return httpx.post(f"{self.endpoint.url}/{path}", json=body, timeout=LIMIT)

    def get(self, path: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.get(f"{self.endpoint.url}/{path}", headers=named, timeout=LIMIT)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.endpoint.port), LIMIT)

    def say(self, *parts: bytes) -> bytes:
        """The first line of what is answered to raw bytes; empty if the connection is ended."""
        with self.connect() as connection, suppress(ConnectionError):
            # The answer may come before all was said.
            saying = threading.Thread(target=_send, args=(connection, parts), daemon=True)
            saying.start()
            return connection.makefile("rb").readline()
        return b""


def _send(connection: socket.socket, parts: tuple[bytes, ...]) -> None:
    with suppress(OSError):
        for part in parts:
            connection.sendall(part)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bento's root."""
    folder = make_root(tmp_path_factory.mktemp("abuse") / "root", SERVICE, "Wild")
    manifest = json.loads(BentoManifest.read(folder / "bento.json").to_json())
    names = ("say", "hang", "shout", "leave")
    apis = [APIContract(name, f"/{name}", {"type": "object"}, {"type": "string"}) for name in names]
    manifest["contract"]["apis"] = [vars(api) for api in apis]
    (folder / "bento.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def platform(root: Path) -> Iterator[Platform]:
    """The platform; it is stopped at the end, and has complained of nothing."""
    folder = tempfile.mkdtemp()
    home = Home(Path(folder) / "home")
    client = home.directory(home.cache) / "aws-lambda" / f"python{PYTHON}"
    client.parent.mkdir()
    client.symlink_to(Path(awslambdaric.__file__).parent.parent)
    try:
        yield Platform(home, root)
        assert (home.logs / "emulator.log").read_text() == ""
    finally:
        daemon.stop(home)
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def others_do_not_notice(platform: Platform) -> Iterator[None]:
    """After each test the other function answers, and the platform is the same process."""
    yield
    platform.assert_calm()
    assert daemon.status(platform.home) == platform.endpoint


def test_a_handler_that_never_returns_ends_with_its_timeout(platform: Platform) -> None:
    assert platform.post("wild/hang").status_code == 504
    assert platform.post("wild/say", word="here").text == "here"


POST = b"POST /wild/say HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
REFUSALS = (b"HTTP/1.0 4", b"HTTP/1.1 4")


@pytest.mark.parametrize(
    "parts",
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * (8 << 20) + b"\r\n\r\n",),
        (b"GET /" + b"a" * (8 << 20) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",),
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n", *([b"A: a\r\n" * 10_000] * 20), b"\r\n"),
    ],
    ids=["one long", "a long line", "many"],
)
def test_floods_of_headers_are_refused(platform: Platform, parts: tuple[bytes, ...]) -> None:
    answer = platform.say(*parts)
    assert not answer or answer.startswith(REFUSALS), answer


def test_floods_of_trailers_are_not_kept(platform: Platform) -> None:
    before = _resident(platform.endpoint.pid)
    with platform.connect() as connection:
        _send(connection, (CHUNKED + b"2\r\n{}\r\n0\r\n", *([b"A: a\r\n" * 10_000] * 2000)))
        assert _resident(platform.endpoint.pid) - before < 64 << 20


@pytest.mark.parametrize(
    "request_",
    [
        CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"f" * 17 + b"\r\n{}",
        CHUNKED + b"2;" + b"a" * (8 << 20) + b"\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"2\r\n{}trailing garbage\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
        POST + b"Content-Length: -2\r\n\r\n{}",
        POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
        POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + b"\x00" * 600 + b"\r\n\r\n",
    ],
)
@pytest.mark.parametrize("path", [b"/wild/say", b"/2015-03-31/functions/lambda/invocations"])
def test_what_breaks_http_is_the_callers_mistake(
    platform: Platform, request_: bytes, path: bytes
) -> None:
    answer = platform.say(request_.replace(b"/wild/say", path))
    assert not answer or answer.startswith(REFUSALS), answer


@pytest.mark.parametrize(
    "path", ["wild/say", "2015-03-31/functions/lambda/invocations", "lambda/say"]
)
def test_bodies_have_a_limit_whether_or_not_they_say_how_large_they_are(
    platform: Platform, path: str
) -> None:
    declared = (POST + b"Content-Length: 1073741824\r\n\r\n").replace(b"wild/say", path.encode())
    chunked = CHUNKED.replace(b"wild/say", path.encode())
    piece = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    for parts in ((declared,), (chunked, *([piece] * 128))):
        before = _resident(platform.endpoint.pid)
        assert platform.say(*parts).startswith(b"HTTP/1.1 413")
        assert _resident(platform.endpoint.pid) - before < 256 << 20


@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/",
        "wild%00/say",
        "lambda:" + "9" * 5000,
        "lambda:%D9%A1",
        "lambda:%FF",
        "2015-03-31/functions/lambda:" + "9" * 5000,
        "2015-03-31/functions/" + "a" * 5000,
        "2015-03-31/functions/%FF%00%2f",
        "2015-03-31/functions/lambda/aliases/" + "9" * 5000,
        "_bentofn/%FF",
        "_bentofn/console/..%2f..%2fpages.py",
        "_bentofn/console/logs/..%2f..%2frun%2femulator",
        "_bentofn/console/functions/%FF",
        "\xff\xfe",
    ],
)
def test_odd_names_are_the_callers_mistake(platform: Platform, path: str) -> None:
    raw = b"GET /" + path.encode("latin-1") + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = platform.say(raw)
    assert answer.startswith(REFUSALS), answer


def test_what_functions_there_are_is_told_under_this_machines_names_only(
    platform: Platform,
) -> None:
    assert "calm" in platform.get("nothing").text
    for found in (
        platform.get("nothing", Host="rebound.example"),
        platform.get("nothing", Sec_Fetch_Site="cross-site"),
    ):
        assert found.status_code == 404
        assert "calm" not in found.text


@pytest.mark.parametrize("given", ["", "Bearer \xe9", "Basic OmE=", "Bearer " + "a" * 43])
def test_nobody_controls_the_platform_without_its_token(platform: Platform, given: str) -> None:
    headers = {"Authorization": given.encode("latin-1")} if given else {}
    for method, action in (
        ("GET", "status"),
        ("POST", "apply"),
        ("POST", "tick"),
        ("POST", "testing/faults"),
        ("DELETE", "functions/calm"),
    ):
        address = f"{platform.endpoint.url}/_bentofn/{action}"
        answer = httpx.request(method, address, headers=headers, timeout=LIMIT)
        assert answer.status_code == 401
        assert platform.endpoint.token not in answer.text


def test_a_page_of_another_site_opens_no_websocket_unless_the_url_allows_it(
    platform: Platform,
) -> None:
    handshake = (
        b"GET /calm/talk HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: close\r\n"
    )
    for origin, refused in ((b"https://evil.example", True), (b"https://app.example", False)):
        with platform.connect() as connection:
            connection.sendall(handshake + b"Origin: " + origin + b"\r\n\r\n")
            answer = connection.makefile("rb").read()
            assert (b"no page of this origin" in answer) is refused, answer


def test_thousands_of_idle_connections_and_slow_clients_take_no_ones_place(
    platform: Platform,
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[0] < CONNECTIONS + 100:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(2 * CONNECTIONS, limits[1]), limits[1]))
    with ExitStack() as connections:
        for number in range(CONNECTIONS):
            connection = connections.enter_context(platform.connect())
            if number % 10 == 0:
                connection.sendall(b"GET /calm/say HTTP/1.1\r\nHo")
            if number % 10 == 1:
                connection.sendall(POST + b"Content-Length: 100\r\n\r\n{")
        platform.assert_calm()
        assert platform.post("wild/say", word="here").text == "here"
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_handler_that_exits_is_replaced(platform: Platform) -> None:
    assert platform.post("wild/leave").status_code == 502
    assert platform.post("wild/say", word="here").text == "here"


def test_a_handler_that_prints_a_gigabyte_costs_the_others_nothing(platform: Platform) -> None:
    before = _resident(platform.endpoint.pid)
    answers: list[httpx.Response] = []
    shouting = threading.Thread(target=lambda: answers.append(platform.post("loud/shout")))
    shouting.start()
    while shouting.is_alive():
        platform.assert_calm()
    assert answers[0].text == "hoarse"
    assert _resident(platform.endpoint.pid) - before < 128 << 20
    assert sum(file.stat().st_size for file in platform.home.logs.iterdir()) < 64 << 20


@pytest.mark.skipif(Namespaces.find() is None, reason="no privilege to make namespaces")
def test_a_handler_sees_nothing_of_other_functions_in_the_home(platform: Platform) -> None:
    home = platform.home
    hidden = (home.run, home.logs, home.snapshots, home.invocations, home.tasks, home.schedules)
    for place in hidden:
        (place / "somebody-elses").touch()
        answer = platform.post("wild/look", place=str(place))
        (place / "somebody-elses").unlink()
        assert answer.json() == []


def test_half_requests_and_readers_do_not_keep_the_platform_from_its_end(root: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as connections:
        home = Home(Path(folder) / "home")
        spec = FunctionSpec("wild", str(root), FunctionSettings(snapshot="none", cpu=0))
        LocalAdapter(home, port=0).apply(spec, lambda _: None)
        endpoint = daemon.status(home)
        assert endpoint is not None
        for request in (
            b"GET /_bentofn/console/events HTTP/1.1\r\nHost: localhost\r\n\r\n",
            POST + b"Content-Length: 100\r\n\r\n{",
            POST,
            b"",
        ):
            for _ in range(8):
                address = ("127.0.0.1", endpoint.port)
                connection = connections.enter_context(socket.create_connection(address, LIMIT))
                connection.sendall(request)
        assert daemon.stop(home)
        # One that is killed leaves it.
        assert not (home.run / "emulator.json").exists()
        assert (home.logs / "emulator.log").read_text() == ""


def _resident(pid: int) -> int:
    found = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(found) * resource.getpagesize()
