"""What each key of a bentofile's ``python`` section does, with indexes on loopback.

Every package is a stub, those that the runtime itself requires included, so that no other index is
asked.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bentofn.packager.build import BuildOptions, BuildResult, build
from bentofn.packager.config.discovery import load_config
from bentofn.packager.config.model import BuildConfig
from bentofn.packager.environment.index_settings import IndexSettings
from bentofn.packager.environment.requirements import read_requirements
from bentofn.packager.environment.resolve import resolve
from bentofn.packager.environment.runtime_requirements import RUNTIME_REQUIREMENTS
from bentofn.packager.environment.target import find_target
from bentofn.packager.home import Home
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError

WriteWheel = Callable[..., Path]
Section = dict[str, object]


class Index(SimpleHTTPRequestHandler):
    """Lists a folder for each project, as a simple index does."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path, certificate: Path | None = None) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Index, directory=str(folder)))
    scheme = "http"
    if certificate is not None:
        scheme, context = "https", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"{scheme}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Project:
    """A project, and an index with what the runtime requires."""

    def __init__(self, folder: Path, write_wheel: WriteWheel) -> None:
        self.path = folder / "project"
        self.path.mkdir()
        (self.path / "service.py").write_text("")
        self.home = Home(folder / "home")
        self.index = folder / "index"
        self._write = write_wheel
        for requirement in RUNTIME_REQUIREMENTS:
            self.add(re.split("[>;]", requirement)[0], "99")

    def add(self, name: str, version: str, **options: object) -> Path:
        return self._write(self.index / name, name.replace("-", "_"), version, **options)

    def wheel(self, folder: str, name: str, version: str, **options: object) -> Path:
        return self._write(self.path / folder, name, version, **options)

    def config(self, section: Section, file: str) -> BuildConfig:
        for other in ("bentofile.yaml", "pyproject.toml"):
            (self.path / other).unlink(missing_ok=True)
        if file == "pyproject.toml":
            lines = [f"{key} = {json.dumps(value)}" for key, value in section.items()]
            text = "\n".join(("[tool.bentoml.build.python]", *lines))
        else:
            text = json.dumps({"service": "service:A", "python": section})
        (self.path / file).write_text(text)
        return load_config(self.path, self.home)

    def versions(self, section: Section, file: str = "bentofile.yaml") -> dict[str, str]:
        options = self.config(section, file).python
        requirements = read_requirements(self.path, options, IndexSettings())
        lock = resolve(self.path, requirements, find_target(None, None), self.home)
        runtime = {re.split("[>;]", requirement)[0] for requirement in RUNTIME_REQUIREMENTS}
        return {name: v for name, v in lock.versions.items() if name not in runtime}


@pytest.fixture
def project(tmp_path: Path, write_wheel: WriteWheel, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_FIND_LINKS", "UV_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    return Project(tmp_path, write_wheel)


FILES = pytest.mark.parametrize("file", ["bentofile.yaml", "pyproject.toml"])


@FILES
def test_indexes_and_packages(project: Project, file: str) -> None:
    project.add("one", "1.0", requires=["two"])
    project.add("two", "1.0")
    project.add("two", "2.0")
    extra = project.path.parent / "extra"
    project._write(extra / "two", "two", "3.0")
    project._write(extra / "three", "three", "1.0")
    with served(project.index) as index, served(extra) as more:
        section: Section = {"packages": ["one"], "index_url": index}
        assert project.versions(section, file) == {"one": "1.0", "two": "2.0"}
        section = {"packages": ["one", "three"], "index_url": index, "extra_index_url": more}
        expected = {"one": "1.0", "two": "3.0", "three": "1.0"}
        assert project.versions(section, file) == expected
        section["extra_index_url"] = [more]
        assert project.versions(section, file) == expected


@FILES
def test_folders_of_wheels_alone(project: Project, file: str) -> None:
    folder = project.path / "all"
    folder.mkdir()
    for wheel in project.index.glob("*/*.whl"):
        shutil.move(wheel, folder)
    project.wheel("all", "one", "1.0")
    section: Section = {"packages": "one", "no_index": True, "find_links": "all"}
    assert project.versions(section, file) == {"one": "1.0"}
    section = {"packages": ["one"], "pip_args": "--no-index -f ./all"}
    assert project.versions(section, file) == {"one": "1.0"}
    warned = project.config({**section, "index_url": "http://127.0.0.1:9"}, file).warnings
    assert any("no_index: index_url and extra_index_url are ignored" in text for text in warned)


@FILES
def test_wheels_of_the_project(project: Project, file: str) -> None:
    project.add("tool", "2.0")
    project.add("dep", "1.0")
    path = project.wheel("lib", "tool", "1.0", requires=["dep"])
    with served(project.index) as index:
        section: Section = {"wheels": [f"lib/{path.name}"], "index_url": index}
        assert project.versions(section, file) == {"tool": "1.0", "dep": "1.0"}


@FILES
def test_requirements_files_and_arguments_of_pip(project: Project, file: str) -> None:
    for version in ("1.0", "2.0", "3.0rc1"):
        project.add("one", version)
    (project.path / "need.txt").write_text("one>=1\n")
    (project.path / "limit.txt").write_text("one<2\n")
    with served(project.index) as index:
        section: Section = {"requirements_txt": "./need.txt", "index_url": index}
        assert project.versions(section, file) == {"one": "2.0"}
        section["pip_args"] = "--pre -U --force-reinstall --no-cache-dir"
        assert project.versions(section, file) == {"one": "3.0rc1"}
        section["pip_args"] = "-c limit.txt"
        assert project.versions(section, file) == {"one": "1.0"}
        section["pip_args"] = "--no-binary=one"
        with pytest.raises(UserError, match="one"):
            project.versions(section, file)
        section["pip_args"] = "--no-deps"
        assert any("--no-deps is not applied" in w for w in project.config(section, file).warnings)


def test_a_host_whose_certificate_is_not_checked(project: Project, tmp_path: Path) -> None:
    project.add("one", "1.0")
    certificate = tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-keyout", str(certificate), "-out", str(tmp_path / "c")]
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    subprocess.run(command, check=True, capture_output=True)
    certificate.write_bytes(certificate.read_bytes() + (tmp_path / "c").read_bytes())
    with served(project.index, certificate) as index:
        section: Section = {"packages": ["one"], "index_url": index}
        host = index.removeprefix("https://")
        assert project.versions({**section, "trusted_host": host}) == {"one": "1.0"}
        with pytest.raises(UserError):
            project.versions(section)


def test_hashes_that_the_requirements_pin_are_the_only_ones(project: Project) -> None:
    files = [project.add("one", "1.0", tag=tag) for tag in ("py3-none-any", "py2.py3-none-any")]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    (project.index / "one" / "index.html").write_text(
        "".join(
            f'<a href="{file.name}#sha256={digest}">{file.name}</a>'
            for file, digest in zip(files, digests, strict=True)
        )
    )
    digest = digests[0]
    (project.path / "need.txt").write_text(f"one==1.0 \\\n  --hash=sha256:{digest}\n")
    with served(project.index) as index:
        options = project.config(
            {"requirements_txt": "need.txt", "index_url": index}, "bentofile.yaml"
        ).python
        requirements = read_requirements(project.path, options, IndexSettings())
        lock = resolve(project.path, requirements, find_target(None, None), project.home)
        (line,) = [line for line in lock.lines if line.startswith("one==")]
        assert line == f"one==1.0 --hash=sha256:{digest}"
        (project.path / "need.txt").write_text(f"one==1.0 --hash=sha256:{'0' * 64}\n")
        requirements = read_requirements(project.path, options, IndexSettings())
        with pytest.raises(UserError, match="hash"):
            resolve(project.path, requirements, find_target(None, None), project.home)


def test_versions_that_are_not_locked(tmp_path: Path, write_wheel: WriteWheel) -> None:
    project, home = tmp_path / "project", Home(tmp_path / "home")
    project.mkdir()
    (project / "service.py").write_text(
        "import bentofn\n\n@bentofn.service\nclass Svc:\n"
        "    @bentofn.api\n    def echo(self, x: int) -> int:\n        return x\n"
    )
    (project / "bentofile.yaml").write_text(
        "service: service:Svc\nexclude: [wheels]\n"
        "python: {packages: [tinydep], find_links: wheels, lock_packages: false}\n"
    )

    def run() -> tuple[BuildResult, str]:
        result = build(project, home, BuildOptions(), lambda message: None)
        store = Store(home)
        lock = store.bento(store.get("bento", result.tag)).lock
        (line,) = [line for line in lock if line.startswith("tinydep==")]
        return result, line.split()[0]

    write_wheel(project / "wheels", "tinydep", "1.0")
    first = run()
    assert first[1] == "tinydep==1.0"
    assert run()[0].digest == first[0].digest
    write_wheel(project / "wheels", "tinydep", "2.0")
    assert run()[1] == "tinydep==2.0"
