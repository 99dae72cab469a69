"""A registry that serves a store as it is, counts what it gives, and fails when it is told to."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from bentofn.packager.build import BuildOptions, BuildResult, build
from bentofn.packager.home import Home
from bentofn.packager.modelstore import import_model
from bentofn.packager.store import Store
from bentofn.packager.store.descriptors import INDEX, MANIFEST
from bentofn.packager.store.referrers import referrers

SERVICE = """
import hashlib
import mmap
from pathlib import Path

import bentofn
from bentofn.models import BentoModel


@bentofn.service(name="pages")
class Pages:
    model = BentoModel("weights:1")

    def __init__(self) -> None:
        with (self.model.path / "model.safetensors").open("rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)

    @bentofn.api(examples=[{"offset": 9_000_000}])
    def byte(self, offset: int) -> int:
        return self.data[offset]

    @bentofn.api
    def source(self, module: str) -> list[str]:
        import starlette

        path = Path(starlette.__file__).with_name(module)
        return [hashlib.sha256(path.read_bytes()).hexdigest()]
"""

Fault = Callable[["Handler"], None]


@dataclass
class Origin:
    """A registry in this process.

    Args:
        store: What it serves.
        faults: Pattern of ``METHOD path range`` to what happens instead of an answer.
        ranges: What was asked for of blobs, digest and range.
        bytes: How much it gave.
    """

    store: Store
    address: str = ""
    faults: dict[str, Fault] = field(default_factory=dict)
    ranges: list[tuple[str, str]] = field(default_factory=list)
    bytes: int = 0


class Handler(BaseHTTPRequestHandler):
    """The reading half of the distribution API."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        origin = self.server.origin
        wanted = f"GET {self.path} {self.headers.get('Range', '')}"
        for pattern, fault in list(origin.faults.items()):
            if re.search(pattern, wanted):
                fault(self)
                return
        self.serve()

    def serve(self, spoil: bool = False, whole: bool = False) -> None:
        store = self.server.origin.store
        kind, _, name = self.path.removeprefix("/v2/lazy/pages/").partition("/")
        if kind == "referrers":
            found = [each.to_json() for each in referrers(store, name)]
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": found}
            self.give(200, json.dumps(index).encode(), INDEX)
        elif kind == "manifests":
            digest = name if ":" in name else store.get("bento", "pages").digest
            self.give(200, store.blob_path(digest).read_bytes(), MANIFEST)
        else:
            wanted = "" if whole else self.headers.get("Range", "")
            self.blob(store.blob_path(name).read_bytes(), name, wanted, spoil)

    def blob(self, data: bytes, name: str, wanted: str, spoil: bool) -> None:
        self.server.origin.ranges.append((name, wanted))
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
        if match is None:
            self.give(200, data, "application/octet-stream")
            return
        start, end = int(match[1]), int(match[2] or len(data) - 1) + 1
        piece = bytes(end - start) if spoil else data[start:end]
        self.give(206, piece, "application/octet-stream", f"bytes {start}-{end - 1}/{len(data)}")

    def give(self, status: int, data: bytes, media_type: str = "", content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(data)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        self.wfile.write(data)
        self.server.origin.bytes += len(data)

    def drop(self) -> None:
        self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    origin: Origin


@pytest.fixture(scope="session")
def pages_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a model of 40 MB, of which a service reads single bytes."""
    folder = tmp_path_factory.mktemp("pages")
    home = Home(folder / "home")
    generator = np.random.default_rng(7)
    (source := folder / "weights").mkdir()
    tensors = {f"layer.{n}.w": generator.random((1024, 1024), np.float32) for n in range(10)}
    save_file(tensors, source / "model.safetensors")
    import_model(Store(home), source, "weights", "1")
    return home


@pytest.fixture(scope="session")
def pages(pages_home: Home, tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    """The service, built and traced."""
    project = tmp_path_factory.mktemp("project")
    (project / "service.py").write_text(SERVICE)
    (project / "bentofile.yaml").write_text(
        "service: service:Pages\nmodels: [weights:1]\npython: {packages: [numpy]}\n"
    )
    return build(project, pages_home, BuildOptions(slim="traced"), print)


@pytest.fixture
def origin(pages: BuildResult, pages_home: Home) -> Iterator[Origin]:
    """A registry that has it at ``lazy/pages``."""
    served = Origin(Store(pages_home))
    with Server(("127.0.0.1", 0), Handler) as server:
        server.origin = served
        served.address = f"127.0.0.1:{server.server_address[1]}/lazy/pages:1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield served
        server.shutdown()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Home]:
    """The home of a machine that has nothing yet; its platform is stopped at the end."""
    from bentofn.adapters.local import daemon

    home = Home(tmp_path / "node")
    yield home
    daemon.stop(home)
