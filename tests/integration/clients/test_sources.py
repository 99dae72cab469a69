"""What `bentofn client` writes a client of, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from bentofn.adapters.local import daemon
from bentofn.packager.home import Home

Run = Callable[..., "subprocess.CompletedProcess[str]"]

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "webapp"
EMPTY = "import bentofn\n\n@bentofn.service\nclass Empty: ...\n"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, bentofn: Run) -> Iterator[Path]:
    """A home whose platform runs the poet as ``verse``."""
    folder = tmp_path_factory.mktemp("sources")
    project = shutil.copytree(EXAMPLE, folder / "project")
    serverless = (project / "serverless.yml").read_text()
    (project / "serverless.yml").write_text(serverless.replace("  poet:", "  verse:"))
    home = Home(folder / "home")
    daemon.start(home, 0)
    bentofn("deploy", str(project), home=home.path)
    yield home.path
    daemon.stop(home)


def made(bentofn: Run, home: Path, source: str, lang: str = "ts") -> str:
    return str(bentofn("client", source, "--lang", lang, home=home).stdout)


@pytest.mark.parametrize("lang", ["ts", "python"])
def test_every_source_of_a_service_gives_the_same_client(
    home: Path, bentofn: Run, lang: str
) -> None:
    function = made(bentofn, home, "verse", lang)
    endpoint = daemon.status(Home(home))
    assert endpoint is not None
    assert "class PoetClient" in function
    assert made(bentofn, home, "poet:latest", lang) == function
    assert made(bentofn, home, str(home.parent / "project"), lang) == function
    assert made(bentofn, home, f"{endpoint.url}/verse/", lang) == function


def test_a_client_takes_the_place_of_an_earlier_one_and_of_nothing_else(
    home: Path, bentofn: Run, tmp_path: Path
) -> None:
    target = tmp_path / "poet.ts"
    for _ in range(2):
        bentofn("client", "verse", "--lang", "ts", "-o", str(target), home=home)
    said = json.loads(
        bentofn("client", "verse", "--lang", "ts", "-o", str(target), "--json", home=home).stdout
    )
    assert said == {
        **{"service": "poet", "lang": "ts"},
        **{"endpoints": ["write"], "file": str(target)},
    }
    target.write_text("// my own\n")
    refused = bentofn("client", "verse", "--lang", "ts", "-o", str(target), home=home, check=False)
    assert refused.returncode == 1
    assert "was not written by this command" in refused.stderr
    assert target.read_text() == "// my own\n"


def document(schema: Any) -> bytes:
    content = {"application/json": {"schema": schema}}
    post = {"requestBody": {"content": content}, "responses": {"200": {}}}
    return json.dumps({"info": {"title": "x"}, "paths": {"/a": {"post": post}}}).encode()


def deep(levels: int) -> Any:
    schema: Any = {}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{", b'{"paths": 3}'),
        *map(document, (1, {"properties": [1]}, {"properties": {"a": {"$ref": "#/x"}}})),
        document({"properties": {"a": {"type": "object", "properties": {"b": 1}, "required": 1}}}),
        document({"properties": {"a": deep(450)}}),
    ],
)
def test_documents_that_are_none_are_refused_in_one_sentence(
    content: bytes, bentofn: Run, tmp_path: Path
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        done = bentofn("client", url, "--lang", "python", home=tmp_path, check=False)
        server.shutdown()
        thread.join()
    assert done.returncode == 1
    assert len([line for line in done.stderr.splitlines() if line]) == 1, done.stderr
    assert done.stderr.startswith("Error: ")


def test_what_has_nothing_to_call_is_refused(home: Path, bentofn: Run, tmp_path: Path) -> None:
    endpoint = daemon.status(Home(home))
    assert endpoint is not None
    (tmp_path / "service.py").write_text(EMPTY)
    (tmp_path / "bentofile.yaml").write_text("service: service:Empty\n")
    for source, reason in (
        (str(tmp_path), "has no endpoints"),
        ("nothing-of-this-name", "nothing-of-this-name"),
        ("./nothing", "There is no folder ./nothing"),
        (f"{endpoint.url}/nothing", "docs.json answered with 404"),
        ("http://127.0.0.1:9", "cannot be read"),
        (f"{endpoint.url}/_bentofn/metrics?", "is no OpenAPI document"),
    ):
        done = bentofn("client", source, "--lang", "ts", home=home, check=False)
        assert done.returncode == 1, source
        assert "Traceback" not in done.stderr
        assert reason in done.stderr, done.stderr
