"""`bentofn serve` where BentoML's own package is installed beside bentofn."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httptools
import pytest
from stock_bentoml import stock_python

from bentofn.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[3]

CARRIED = """
import bentoml

@bentoml.service(workers=1)
class Which:
    @bentoml.api
    def which(self) -> dict:
        return {"file": bentoml.__file__, "worker": bentoml.server_context.worker_index}
"""

KEPT = CARRIED.replace("workers=1", "workers=2").replace(
    "import bentoml", "import bentoml\nfrom names import model", 1
)
NAMES = "from bentoml import client as model\n"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return stock_python(tmp_path_factory.mktemp("stock"))
    except UserError as reason:
        pytest.skip(f"stock BentoML cannot be had: {reason}")


@contextmanager
def served(python: Path, project: Path) -> Iterator[str]:
    """Serve a project until its block ends; the URL. What it says on stderr goes into a file."""
    installed = project / "installed"  # what comes with bentofn and not with BentoML
    installed.mkdir()
    (installed / "httptools").symlink_to(Path(httptools.__file__).parent)
    places = os.pathsep.join(map(str, (ROOT, installed)))
    environment = {**os.environ, "PYTHONPATH": places, "BENTOML_HOME": str(project / "home")}
    environment.pop("PORT", None)
    command = [python, "-m", "bentofn", "serve", ".", "--port", "0"]
    with (
        (project / "stderr").open("w") as stderr,
        subprocess.Popen(
            command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            lines = (re.search(r"serves at (\S+)", line) for line in process.stdout)
            found = next(filter(None, lines), None)
            assert found is not None, (project / "stderr").read_text()
            yield found.group(1)
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()


def which(url: str) -> dict[str, object]:
    request = urllib.request.Request(f"{url}/which", b"{}", {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))


def project(folder: Path, **files: str) -> Path:
    for name, text in {**files, "bentofile__yaml": "service: service:Which\n"}.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_a_project_is_served_by_bentofns_own_package(python: Path, tmp_path: Path) -> None:
    with served(python, project(tmp_path, service__py=CARRIED)) as url:
        answer = which(url)
    assert str(answer["file"]).endswith("/dropin/bentoml/__init__.py")


def test_one_that_needs_bentomls_is_served_by_that(python: Path, tmp_path: Path) -> None:
    with served(python, project(tmp_path, service__py=KEPT, names__py=NAMES)) as url:
        answer = which(url)
    assert str(answer["file"]).endswith("/site-packages/bentoml/__init__.py")
    assert answer["worker"] in (1, 2)
    said = (tmp_path / "stderr").read_text()
    assert "bentoml.client, which bentofn does not carry" in said
    assert "Traceback" not in said
