"""A registry that fails in every way that one meets: what helps is tried, the rest is told."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.containerize.blob import Layer, bytes_blob
from bentofn.packager.containerize.image import make_image
from bentofn.packager.containerize.media import TAR
from bentofn.packager.containerize.push import push_image
from bentofn.packager.home import Home, leftovers
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.registry.reference import parse_reference
from bentofn.packager.registry.transfer import pull, push
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract

LARGE = bytes(range(256)) * 16_384  # 4 MiB
TOKEN = "t0ken"


class Handler(BaseHTTPRequestHandler):
    """The distribution API in memory, with faults."""

    protocol_version = "HTTP/1.1"
    server: "Registry"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, data: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def handle_any(self) -> None:
        registry = self.server
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        registry.seen.append((self.command, self.path, dict(self.headers)))
        if self.path.startswith("/token"):
            good = self.headers.get("Authorization") == registry.basic
            self.answer(200 if good else 401, json.dumps({"token": TOKEN}).encode())
            return
        if registry.challenge and self.headers.get("Authorization") != registry.expected:
            self.answer(401, WWW_Authenticate=registry.challenge)
            return
        fault = registry.next_fault(self.command, self.path)
        if fault is None:
            self.serve(body)
        else:
            fault(self)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815

    def serve(self, body: bytes) -> None:
        registry = self.server
        what, _, name = self.path.partition("?")[0].removeprefix("/v2/me/g/").partition("/")
        if self.command == "POST":
            self.answer(202, Location="/v2/me/g/blobs/uploads/1?state=x")
        elif self.command == "PUT" and what == "blobs":
            digest = self.path.rpartition("digest=")[2].replace("%3A", ":")
            registry.blobs[digest] = body
            self.answer(201)
        elif self.command == "PUT":
            registry.manifests[name] = body
            self.answer(201)
        elif what == "manifests" and name in registry.manifests:
            self.answer(200, registry.manifests[name])
        elif what == "blobs" and name in registry.blobs:
            data = registry.blobs[name]
            start = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if start and registry.ranges:
                at = int(start[1])
                content_range = f"bytes {at}-{len(data) - 1}/{len(data)}"
                status = 206 if at < len(data) else 416
                self.answer(status, data[at:], Content_Range=content_range)
            else:
                self.answer(200, data)
        else:
            self.answer(404)


class Registry(ThreadingHTTPServer):
    """State of the server, and what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.faults: list[tuple[str, str, Callable[[Any], None]]] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.choosing = threading.Lock()
        self.ranges = True
        self.challenge = self.expected = ""
        self.basic = f"Basic {base64.b64encode(b'me:secret').decode()}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def next_fault(self, command: str, path: str) -> Callable[[Any], None] | None:
        with self.choosing:
            for position, (method, pattern, fault) in enumerate(self.faults):
                if method == command and re.search(pattern, path):
                    del self.faults[position]
                    return fault
        return None

    def count(self, method: str, path: str) -> int:
        return sum(method == m and re.search(path, p) is not None for m, p, _ in self.seen)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder := tmp_path / "docker").mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


class Machine:
    """A store and a registry, and the waits between attempts."""

    def __init__(self, home: Path, registry: Registry) -> None:
        self.store = Store(Home(home))
        self.reference = parse_reference(f"{registry.address}/me/g:v1")
        self.waits: list[float] = []

    def build(self) -> Entry:
        entries = {"env": LARGE, "code": b"code"}
        layers = [
            put_layer(
                self.store,
                [LayerFile(f"opt/bento/{kind}/a", data)],
                kind="env" if kind == "env" else "code",
                title=kind,
                compression="none",
            )
            for kind, data in entries.items()
        ]
        bento = BentoManifest("g", "1", ServiceContract("g", "s:G"), "3.11", "linux")
        return self.store.add_bento(bento, layers, datetime(2026, 1, 1, tzinfo=timezone.utc))

    def push(self) -> Any:
        return push(self.store, "g", self.reference, lambda _: None, wait=self.waits.append)

    def pull(self) -> Any:
        return pull(self.store, self.reference, lambda _: None, wait=self.waits.append)


@pytest.fixture
def machine(tmp_path: Path, registry: Registry) -> Machine:
    return Machine(tmp_path / "home", registry)


@pytest.fixture
def other(tmp_path: Path, registry: Registry) -> Machine:
    return Machine(tmp_path / "other", registry)


@pytest.fixture
def pushed(machine: Machine, registry: Registry) -> Entry:
    entry = machine.build()
    machine.push()
    registry.seen.clear()
    return entry


def large(registry: Registry) -> str:
    return max(registry.blobs, key=lambda digest: len(registry.blobs[digest]))


def status(code: int, **headers: str) -> Callable[[Handler], None]:
    return lambda handler: handler.answer(code, b"{}", **headers)


def drop(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(2)


def drop_after(size: int) -> Callable[[Handler], None]:
    def fault(handler: Handler) -> None:
        data = handler.server.blobs[handler.path.rpartition("/")[2]]
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        handler.wfile.write(data[start : start + size])
        handler.wfile.flush()
        drop(handler)

    return fault


def test_a_bento_goes_there_and_comes_back(
    machine: Machine, other: Machine, registry: Registry
) -> None:
    entry = machine.build()
    done = machine.push()
    assert (done.moved, done.skipped) == (sum(map(len, registry.blobs.values())), 0)
    assert other.pull().entry.digest == entry.digest
    assert machine.waits == other.waits == []


def test_blobs_that_are_there_are_skipped(
    machine: Machine, other: Machine, registry: Registry, pushed: Entry
) -> None:
    assert machine.push().moved == 0
    assert registry.count("PUT", "blobs") == 0
    other.pull()
    registry.seen.clear()
    assert other.pull().moved == 0
    assert registry.count("GET", "blobs") == 0


@pytest.mark.parametrize("code", [500, 502, 503, 504, 429])
@pytest.mark.parametrize(("method", "path"), [("HEAD", "blobs"), ("POST", "uploads")])
def test_a_push_outlives_a_passing_failure(
    machine: Machine, registry: Registry, code: int, method: str, path: str
) -> None:
    machine.build()
    registry.faults = [(method, path, status(code)), (method, path, drop)]
    machine.push()
    assert len(machine.waits) == 2
    assert machine.waits[1] == 2 * machine.waits[0]


def test_an_upload_that_breaks_off_is_sent_again(machine: Machine, registry: Registry) -> None:
    entry = machine.build()
    forgotten = status(404)
    registry.faults = [("PUT", "uploads", drop), ("PUT", "uploads", forgotten)]
    registry.faults += [("PUT", "manifests", status(500))]
    machine.push()
    for layer in machine.store.layers(entry):
        assert registry.blobs[layer.digest] == machine.store.blob_path(layer.digest).read_bytes()


def test_retry_after_is_honoured_within_reason(
    other: Machine, registry: Registry, pushed: Entry
) -> None:
    for value in ("7", "999999", "Wed, 21 Oct 2026 07:28:00 GMT"):
        registry.faults.append(("GET", "manifests", status(429, Retry_After=value)))
    other.pull()
    assert other.waits[:2] == [7.0, 60.0]
    assert 0 < other.waits[2] < 60


@pytest.mark.parametrize(
    ("fault", "said"),
    [(status(500), "status 500"), (status(429), "status 429"), (drop, "failed 5")],
)
def test_attempts_are_bounded(
    other: Machine, registry: Registry, pushed: Entry, fault: Callable[[Any], None], said: str
) -> None:
    registry.faults = [("GET", "manifests", fault)] * 50
    with pytest.raises(UserError, match=said):
        other.pull()
    assert registry.count("GET", "manifests") == 5


@pytest.mark.parametrize(("code", "said"), [(403, "forbids to pull"), (404, "no .*me/g:v1")])
def test_what_no_attempt_helps_is_told_at_once(
    other: Machine, registry: Registry, pushed: Entry, code: int, said: str
) -> None:
    registry.faults = [("GET", "manifests", status(code))] * 9
    with pytest.raises(UserError, match=said):
        other.pull()
    assert registry.count("GET", "manifests") == 1
    assert other.waits == []


def test_a_pull_goes_on_where_it_broke_off(
    other: Machine, registry: Registry, pushed: Entry
) -> None:
    digest = large(registry)
    registry.faults = [("GET", digest, drop_after(3_000_000)), ("GET", digest, drop_after(5))]
    assert other.pull().entry.digest == pushed.digest
    asked = [headers.get("Range") for _, path, headers in registry.seen if digest in path]
    assert asked[0] is None
    starts = [int(value[6:-1]) for value in asked[1:] if value]
    assert len(starts) == 2
    assert 0 < starts[0] <= 3_000_000 <= starts[1] + 1_000_000
    assert list((other.store.home.cache / "downloads").iterdir()) == []


def test_a_later_pull_goes_on_where_an_earlier_one_gave_up(
    other: Machine, registry: Registry, pushed: Entry
) -> None:
    digest = large(registry)
    registry.faults = [("GET", digest, drop_after(2_000_000))]
    registry.faults += [("GET", digest, drop_after(0))] * 9
    with pytest.raises(UserError, match="failed 5 times"):
        other.pull()
    assert other.store.list("bento") == []
    registry.faults.clear()
    registry.seen.clear()
    assert other.pull().entry.digest == pushed.digest
    (asked,) = (headers.get("Range", "") for _, path, headers in registry.seen if digest in path)
    assert int(asked[6:-1]) > 0


def test_a_registry_without_ranges_is_asked_for_the_whole(
    other: Machine, registry: Registry, pushed: Entry
) -> None:
    registry.ranges = False
    registry.faults = [("GET", large(registry), drop_after(2_000_000))]
    assert other.pull().entry.digest == pushed.digest


def test_other_bytes_than_promised_are_refused(
    other: Machine, registry: Registry, pushed: Entry
) -> None:
    digest = large(registry)
    whole = registry.blobs[digest]
    for wrong in (whole[:-1] + b"x", whole[:-1] + b"xx", whole[:-1]):
        registry.blobs[digest] = wrong
        with pytest.raises(UserError, match=f"other bytes than {digest}"):
            other.pull()
        assert not other.store.has(digest)
        assert other.store.list("bento") == []
        assert list((other.store.home.cache / "downloads").iterdir()) == []
        assert leftovers(other.store.home) == []
    registry.blobs[digest] = whole
    other.pull()


def test_a_blob_that_the_registry_lost(other: Machine, registry: Registry, pushed: Entry) -> None:
    digest = large(registry)
    del registry.blobs[digest]
    with pytest.raises(UserError, match=f"v1 needs the blob {digest}, which the registry does not"):
        other.pull()
    assert other.store.list("bento") == []


def test_a_manifest_with_another_digest_is_refused(
    other: Machine, registry: Registry, pushed: Entry
) -> None:
    wrong = f"sha256:{hashlib.sha256(b'x').hexdigest()}"
    data = registry.manifests["v1"]
    registry.faults = [
        ("GET", "manifests", lambda h: h.answer(200, data, Docker_Content_Digest=wrong))
    ]
    with pytest.raises(UserError, match="other bytes"):
        other.pull()


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"<html>", b'{"artifactType": "x"}', b"[" * 9999]
)
def test_what_is_no_bento_is_refused(other: Machine, registry: Registry, data: bytes) -> None:
    registry.manifests["v1"] = data
    with pytest.raises(UserError, match="bento"):
        other.pull()


def test_a_damaged_blob_is_not_pushed(machine: Machine, registry: Registry) -> None:
    entry = machine.build()
    layer = machine.store.layers(entry)[0]
    path = machine.store.blob_path(layer.digest)
    path.chmod(0o644)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UserError, match=f"{layer.digest} is damaged"):
        machine.push()
    assert registry.manifests == {}


def login(docker: Path, registry: Registry, password: str = "secret") -> None:
    auth = base64.b64encode(f"me:{password}".encode()).decode()
    config = {"auths": {registry.address: {"auth": auth}}}
    (docker / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_dockers_login_is_used(
    machine: Machine, other: Machine, registry: Registry, docker: Path, kind: str
) -> None:
    if kind == "basic":
        registry.challenge, registry.expected = 'Basic realm="r"', registry.basic
    else:
        realm = f"http://{registry.address}/token"
        registry.challenge = f'Bearer realm="{realm}",service="s",scope="repository:me/g:pull"'
        registry.expected = f"Bearer {TOKEN}"
    machine.build()
    with pytest.raises(UserError, match="docker login 127"):
        machine.push()
    login(docker, registry)
    machine.push()
    assert other.pull().entry.tag == "g:1"
    if kind == "bearer":
        tokens = [path for _, path, _ in registry.seen if path.startswith("/token")]
        assert "scope=repository%3Ame%2Fg%3Apull%2Cpush" in tokens[1]
        assert "service=s" in tokens[1]
    assert other.waits == []


@pytest.mark.parametrize("challenge", ['Basic realm="r"', "Digest", "", 'Bearer realm="ftp://x"'])
def test_credentials_that_are_not_taken(
    other: Machine, registry: Registry, docker: Path, pushed: Entry, challenge: str
) -> None:
    registry.challenge, registry.expected = challenge or "Basic", "never"
    login(docker, registry, "wr0ng-password")
    with pytest.raises(UserError) as caught:
        other.pull()
    assert "wr0ng-password" not in str(caught.value)
    assert len(registry.seen) <= 2


def test_credentials_do_not_follow_a_redirect_to_another_host(
    other: Machine, registry: Registry, docker: Path, pushed: Entry
) -> None:
    login(docker, registry)
    registry.challenge, registry.expected = 'Basic realm="r"', registry.basic
    with Registry() as storage:
        storage.blobs = registry.blobs
        thread = threading.Thread(target=storage.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://{storage.address}/v2/me/g/blobs/{large(registry)}"
        registry.faults = [("GET", large(registry), status(307, Location=url))]
        other.pull()
        storage.shutdown()
        thread.join()
        assert [headers.get("Authorization") for _, _, headers in storage.seen] == [None]


def test_plain_http_is_for_this_machine_only(other: Machine, registry: Registry) -> None:
    registry.challenge = 'Bearer realm="http://tokens.example.com/token"'
    with pytest.raises(UserError, match=r"without HTTPS.*--insecure"):
        other.pull()


def test_nothing_that_answers(other: Machine, registry: Registry) -> None:
    other.reference = parse_reference("127.0.0.1:1/me/g:v1")
    with pytest.raises(UserError, match=r"Nothing answers at 127\.0\.0\.1:1"):
        other.pull()
    assert other.waits == []


def test_a_base_of_the_same_registry_is_mounted_with_a_token_for_both_repositories(
    registry: Registry, docker: Path
) -> None:
    auth = base64.b64encode(b"me:secret").decode()
    (docker / "config.json").write_text(json.dumps({"auths": {registry.address: {"auth": auth}}}))
    registry.challenge = f'Bearer realm="http://{registry.address}/token",service="s"'
    registry.expected = f"Bearer {TOKEN}"
    base, own = bytes_blob(b"base", TAR), bytes_blob(b"own", TAR)
    layers = [Layer(blob, blob.descriptor.digest, "") for blob in (base, own)]
    origin = parse_reference(f"{registry.address}/other/base:1")
    mounts = {base.descriptor.digest: origin}
    image = make_image({}, layers, "linux/amd64", mounts, {})
    reference = parse_reference(f"{registry.address}/me/g")
    registry.faults.append(("POST", "mount=", lambda handler: handler.answer(201)))
    pushed = push_image(image, reference, ["a", "b"], print, wait=lambda _: None)
    assert (pushed.mounted, pushed.skipped) == (4, 0)
    assert pushed.moved == 3 + image.config.descriptor.size
    assert set(registry.blobs) == {own.descriptor.digest, image.config.descriptor.digest}
    assert set(registry.manifests) == {"a", "b"}
    [token] = [path for _, path, _ in registry.seen if path.startswith("/token")]
    assert "scope=repository%3Ame%2Fg%3Apull%2Cpush" in token
    assert "scope=repository%3Aother%2Fbase%3Apull" in token


def test_a_mount_that_is_refused_is_sent(registry: Registry) -> None:
    base = bytes_blob(b"base", TAR)
    origin = parse_reference(f"{registry.address}/other/base:1")
    layers = [Layer(base, base.descriptor.digest, "")]
    image = make_image({}, layers, "linux/amd64", {base.descriptor.digest: origin}, {})
    reference = parse_reference(f"{registry.address}/me/g")
    registry.faults.append(("POST", "mount=", lambda handler: handler.answer(403)))
    pushed = push_image(image, reference, ["a"], print, wait=lambda _: None)
    assert pushed.mounted == 0
    assert registry.blobs[base.descriptor.digest] == b"base"


def test_many_small_blobs_arrive_through_many_faults(
    machine: Machine, other: Machine, registry: Registry
) -> None:
    layers = [
        put_layer(
            machine.store,
            [LayerFile(f"opt/bento/src/{n}", b"%d" % n)],
            kind="code",
            title=f"code {n}",
            compression="none",
        )
        for n in range(40)
    ]
    bento = BentoManifest("g", "1", ServiceContract("g", "s:G"), "3.11", "linux")
    entry = machine.store.add_bento(bento, layers, datetime(2026, 1, 1, tzinfo=timezone.utc))
    names = [blob.digest.removeprefix("sha256:") for blob in layers]
    registry.faults = [("HEAD", name, status(500)) for name in names[::2]]
    registry.faults += [("PUT", name, drop) for name in names[::3]]
    pushed = machine.push()
    assert pushed.moved == sum(blob.size for blob in layers) + len(machine.store.config(entry))
    assert registry.faults == []
    registry.faults = [("GET", name, status(502)) for name in names[::2]]
    registry.faults += [("GET", name, drop_after(2)) for name in names[::3]]
    assert (other.pull().moved, other.pull().moved) == (pushed.moved, 0)
    assert registry.faults == []
    assert all(other.store.has(blob.digest) for blob in layers)
    assert leftovers(other.store.home) == []
