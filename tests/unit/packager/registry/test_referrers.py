"""What refers to a bento goes with it, to registries that list it and to those that do not."""

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

from bentofn.packager.home import Home
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.registry.reference import parse_reference
from bentofn.packager.registry.transfer import pull, push
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import BENTO_ARTIFACT, INDEX, MANIFEST
from bentofn.packager.store.referrers import Referrer, put_referrer, referrers, subject_descriptor
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract

NOTE = "application/vnd.example.note.v1"


class Handler(BaseHTTPRequestHandler):
    """The distribution API in memory."""

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
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        registry = self.server
        path, _, query = self.path.partition("?")
        what, _, name = path.removeprefix("/v2/me/g/").partition("/")
        registry.seen.append(f"{self.command} {what} {name}")
        if self.command == "POST":
            self.answer(202, Location="/v2/me/g/blobs/uploads/1")
        elif self.command == "PUT" and what == "blobs":
            registry.blobs[query.removeprefix("digest=").replace("%3A", ":")] = body
            self.answer(201)
        elif self.command == "PUT":
            self.put_manifest(name, body)
        elif what == "referrers":
            self.referrers(name, query)
        else:
            found = (registry.manifests if what == "manifests" else registry.blobs).get(name)
            if found is None:
                self.answer(404)
            else:
                self.answer(200, found, ETag=f'"{hashlib.sha256(found).hexdigest()}"')

    do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815

    def put_manifest(self, name: str, body: bytes) -> None:
        registry = self.server
        if registry.rivals and name.startswith("sha256-"):
            registry.rivals.pop()()
        old = registry.manifests.get(name, b"")
        condition = self.headers.get("If-Match")
        if condition and condition != f'"{hashlib.sha256(old).hexdigest()}"':
            self.answer(412)
            return
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        registry.manifests[name] = registry.manifests[digest] = body
        subject = json.loads(body).get("subject")
        if subject and registry.lists:
            registry.listed.append((subject["digest"], digest, body))
            self.answer(201, OCI_Subject=subject["digest"])
        else:
            self.answer(201)

    def referrers(self, subject: str, query: str) -> None:
        registry = self.server
        if not registry.lists:
            self.answer(404)
            return
        found = [(digest, body) for of, digest, body in registry.listed if of == subject]
        at = int(query.removeprefix("at=") or 0)
        page = [
            {
                "mediaType": MANIFEST,
                "digest": digest,
                "size": len(body),
                "artifactType": json.loads(body).get("artifactType"),
            }
            for digest, body in found[at : at + registry.page]
        ]
        more = {}
        if at + registry.page < len(found):
            following = f"/v2/me/g/referrers/{subject}?at={at + registry.page}"
            more = {"Link": f'<{following}>; rel="next"'}
        data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": page}).encode()
        self.answer(200, data, Content_Type=INDEX, **more)


class Registry(ThreadingHTTPServer):
    """State of the server."""

    daemon_threads = True

    def __init__(self, lists: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lists = lists
        self.page = 2
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.listed: list[tuple[str, str, bytes]] = []
        self.rivals: list[Callable[[], None]] = []
        self.seen: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def fallback(self, entry: Entry) -> list[dict[str, Any]]:
        index = json.loads(self.manifests[entry.digest.replace(":", "-")])
        assert (index["schemaVersion"], index["mediaType"]) == (2, INDEX)
        return list(index["manifests"])

    def attach(self, entry: Entry, manifest: dict[str, Any]) -> None:
        """As somebody else would who pushes an artifact that refers to a bento."""
        data = json.dumps(manifest).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.manifests[digest] = data
        self.listed.append((entry.digest, digest, data))
        tag = entry.digest.replace(":", "-")
        old = json.loads(self.manifests.get(tag, b'{"manifests": []}'))["manifests"]
        added = {"mediaType": MANIFEST, "digest": digest, "size": len(data), "artifactType": NOTE}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*old, added]}
        self.manifests[tag] = json.dumps(index).encode()


@pytest.fixture(params=[True, False], ids=["lists", "fallback"])
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    with Registry(request.param) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


def store_at(path: Path) -> Store:
    return Store(Home(path))


def build(store: Store) -> Entry:
    layer = put_layer(store, [LayerFile("opt/bento/src/a", b"code")], kind="code", title="code")
    bento = BentoManifest("g", "1", ServiceContract("g", "s:G"), "3.11", "linux")
    return store.add_bento(bento, [layer], datetime(2026, 1, 1, tzinfo=timezone.utc))


def note(store: Store, entry: Entry, text: str) -> Referrer:
    blob = store.put_bytes(text.encode(), "text/plain")
    return put_referrer(store, subject_descriptor(entry), NOTE, [blob], {"text": text})


def send(store: Store, registry: Registry) -> Any:
    reference = parse_reference(f"{registry.address}/me/g:v1")
    return push(store, "g", reference, lambda _: None, wait=lambda _: None)


def fetch(store: Store, registry: Registry, **options: Any) -> Any:
    reference = parse_reference(f"{registry.address}/me/g:v1")
    return pull(store, reference, lambda _: None, wait=lambda _: None, **options)


def test_what_refers_to_a_bento_goes_along(tmp_path: Path, registry: Registry) -> None:
    here, there = store_at(tmp_path / "here"), store_at(tmp_path / "there")
    entry = build(here)
    notes = [note(here, entry, text) for text in ("one", "two", "three")]
    send(here, registry)
    names = [line for line in registry.seen if line.startswith("PUT manifests")]
    assert names[0] == f"PUT manifests {entry.digest}"
    assert names[-1] == "PUT manifests v1"
    if not registry.lists:
        assert [raw["digest"] for raw in registry.fallback(entry)] == [
            each.manifest.digest for each in notes
        ]
        assert registry.fallback(entry)[0]["annotations"] == {"text": "one"}
    fetch(there, registry)
    assert referrers(there, entry.digest) == notes
    assert there.blob_path(notes[0].layers[0].digest).read_bytes() == b"one"
    again = fetch(there, registry)
    assert again.moved == 0
    assert referrers(there, entry.digest) == notes


def test_what_others_attached_is_kept_and_brought(tmp_path: Path, registry: Registry) -> None:
    here, there, third = (store_at(tmp_path / name) for name in ("here", "there", "third"))
    entry = build(here)
    mine = note(here, entry, "mine")
    send(here, registry)
    fetch(there, registry)
    theirs = note(there, entry, "theirs")
    send(there, registry)
    send(here, registry)
    fetch(third, registry)
    assert referrers(third, entry.digest) == [mine, theirs]


def test_a_rival_who_writes_the_list_meanwhile_loses_nothing(
    tmp_path: Path, registry: Registry
) -> None:
    registry.lists = False
    here, there = store_at(tmp_path / "here"), store_at(tmp_path / "there")
    entry, other = build(here), build(there)
    first, mine = note(here, entry, "first"), note(there, other, "mine")
    send(here, registry)
    rival = {**json.loads(here.blob_path(first.manifest.digest).read_bytes()), "annotations": {}}
    registry.rivals = [lambda: registry.attach(entry, rival)]
    send(there, registry)
    digests = [raw["digest"] for raw in registry.fallback(entry)]
    assert (digests[0], digests[2], len(digests)) == (
        first.manifest.digest,
        mine.manifest.digest,
        3,
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"subject": {"mediaType": MANIFEST, "digest": f"sha256:{'0' * 64}", "size": 1}}, "none"),
        ({"subject": None}, "none that could"),
        ({"artifactType": BENTO_ARTIFACT}, "none that could"),
        ({"artifactType": "\x1b[31m"}, "none that could"),
        ({"layers": []}, "none that could"),
        ({"layers": [{"mediaType": "a/b", "digest": "../x", "size": 1}]}, "none that could"),
        ({"layers": [{"mediaType": "a/b", "digest": f"sha256:{'0' * 64}", "size": -1}]}, "none"),
        (
            {"layers": [{"mediaType": "a/b", "digest": f"sha256:{'1' * 64}", "size": 1 << 50}]},
            "more artifacts",
        ),
        ({"annotations": {"a": 1}}, "none that could"),
    ],
)
def test_what_could_be_no_referrer_is_refused(
    tmp_path: Path, registry: Registry, change: dict[str, Any], said: str
) -> None:
    here, there = store_at(tmp_path / "here"), store_at(tmp_path / "there")
    entry = build(here)
    good = json.loads(here.blob_path(note(here, entry, "x").manifest.digest).read_bytes())
    send(here, registry)
    registry.attach(entry, {**good, **change})
    with pytest.raises(UserError, match=said):
        fetch(there, registry)
    assert there.list("bento") == []
    assert there.index() == []


def test_other_bytes_than_the_list_says_are_refused(tmp_path: Path, registry: Registry) -> None:
    here, there = store_at(tmp_path / "here"), store_at(tmp_path / "there")
    entry = build(here)
    made = note(here, entry, "x")
    send(here, registry)
    registry.manifests[made.manifest.digest] += b" "
    with pytest.raises(UserError, match="other bytes"):
        fetch(there, registry)
    assert there.index() == []


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        (b"[]", "malformed"),
        (b"{}", "malformed"),
        (b'{"manifests": [1]}', "malformed"),
        (b"\xff", "malformed"),
        (b"[" * 99_999, "malformed"),
        (b'{"manifests": [{"mediaType": "%s", "digest": ["x"]}]}' % MANIFEST.encode(), "not a sha"),
    ],
)
def test_a_malformed_list_is_told(
    tmp_path: Path, registry: Registry, lists: bytes, said: str
) -> None:
    registry.lists = False
    here, there = store_at(tmp_path / "here"), store_at(tmp_path / "there")
    entry = build(here)
    send(here, registry)
    registry.manifests[entry.digest.replace(":", "-")] = lists
    with pytest.raises(UserError, match=said):
        fetch(there, registry)
    assert there.index() == []


def test_too_many_are_refused(tmp_path: Path, registry: Registry) -> None:
    registry.page = 50
    here, there = store_at(tmp_path / "here"), store_at(tmp_path / "there")
    entry = build(here)
    good = json.loads(here.blob_path(note(here, entry, "x").manifest.digest).read_bytes())
    send(here, registry)
    for number in range(65):
        registry.attach(entry, {**good, "annotations": {"number": str(number)}})
    with pytest.raises(UserError, match="more artifacts"):
        fetch(there, registry)


def test_a_check_refuses_before_layers_are_fetched(tmp_path: Path, registry: Registry) -> None:
    here, there = store_at(tmp_path / "here"), store_at(tmp_path / "there")
    entry = build(here)
    made = note(here, entry, "unsigned")
    send(here, registry)
    layer = here.layers(entry)[0].digest

    def check(manifest: Descriptor, found: list[Referrer], read: Any) -> frozenset[str]:
        assert manifest.digest == entry.digest
        assert found == [made]
        raise UserError(read(found[0].layers[0]).decode())

    registry.seen.clear()
    with pytest.raises(UserError, match="unsigned"):
        fetch(there, registry, check=check)
    assert there.index() == []
    assert not any(re.search(layer, line) for line in registry.seen)


def test_only_what_a_check_lets_through_comes_along(tmp_path: Path, registry: Registry) -> None:
    here, there = store_at(tmp_path / "here"), store_at(tmp_path / "there")
    entry = build(here)
    good, bad = note(here, entry, "good"), note(here, entry, "bad")
    send(here, registry)
    fetch(there, registry, check=lambda *_: frozenset({good.manifest.digest}))
    assert referrers(there, entry.digest) == [good]
    assert not there.has(bad.layers[0].digest)
