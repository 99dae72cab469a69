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
from bentofn.packager.environment.requirements import read_requirements, with_wheel_folders
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
        target = find_target(None, None)
        requirements = read_requirements(self.path, options, IndexSettings())
        requirements = with_wheel_folders(requirements, target, self.home)
        lock = resolve(self.path, requirements, target, self.home)
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


BACKEND = """
import zipfile
from pathlib import Path

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    version = Path("version").read_text().strip()
    info = f"mylib-{version}.dist-info"
    files = {
        "mylib.py": Path("mylib.py").read_text(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: mylib\\nVersion: {version}\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\\n" for name in (*files, f"{info}/RECORD"))
    name = f"mylib-{version}-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(zipfile.ZipInfo(path), text)
    return name
"""


class GitRepository:
    """A git repository with a package, which needs nothing to be built."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        (folder / "pkg").mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        (folder / "pkg" / "backend.py").write_text(BACKEND)
        (folder / "pkg" / "mylib.py").write_text("")
        (folder / "pkg" / "pyproject.toml").write_text(
            "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
            "[project]\nname = 'mylib'\ndynamic = ['version']\n"
        )

    def git(self, *arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.test")
        subprocess.run(["git", *who, *arguments], cwd=self.path, check=True, capture_output=True)

    def commit(self, version: str) -> None:
        (self.path / "pkg" / "version").write_text(version)
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", version)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_packages_of_git_repositories(project: Project, tmp_path: Path) -> None:
    source = GitRepository(tmp_path / "source")
    source.commit("1.0")
    source.git("tag", "v1")
    source.git("checkout", "--quiet", "-b", "next")
    source.commit("2.0")
    source.git("checkout", "--quiet", "main")
    project.add("mylib", "1.0")  # another of the same name and version, which nobody asked for
    where = f"git+file://{source.path}"
    with served(project.index) as index:
        for ref, version in (("", "1.0"), ("@v1", "1.0"), ("@next", "2.0")):
            line = f"mylib @ {where}{ref}#subdirectory=pkg"
            section: Section = {"packages": [line], "index_url": index}
            assert project.versions(section) == {"mylib": version}
        section = {"packages": [f"{where}@v1#subdirectory=pkg"], "index_url": index}
        assert project.versions(section, "pyproject.toml") == {"mylib": "1.0"}
        for line, says in (
            (f"{where}@absent", "at absent cannot be cloned"),
            (f"{where}x", "cannot be cloned"),
            (f"{where}#subdirectory=../..", r"has no folder \.\./\.\."),
            (f"{where}#subdirectory=none", "has no folder none"),
            (where, "cannot be built into a wheel"),
        ):
            with pytest.raises(UserError, match=says):
                project.versions({"packages": [line], "index_url": index})


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_bento_of_a_git_repository(tmp_path: Path) -> None:
    source = GitRepository(tmp_path / "source")
    source.commit("1.0")
    project, home = tmp_path / "project", Home(tmp_path / "home")
    project.mkdir()
    (project / "service.py").write_text(
        "import bentofn, mylib\n\n@bentofn.service\nclass Svc:\n"
        "    @bentofn.api\n    def echo(self, x: int) -> int:\n        return x\n"
    )
    packages = f"python: {{packages: ['git+file://{source.path}#subdirectory=pkg']}}\n"
    (project / "bentofile.yaml").write_text(f"service: service:Svc\n{packages}")

    def run(**options: bool) -> tuple[BuildResult, str]:
        result = build(project, home, BuildOptions(**options), lambda message: None)
        store = Store(home)
        lock = store.bento(store.get("bento", result.tag)).lock
        (line,) = [line for line in lock if line.startswith("mylib==")]
        return result, line.split()[0]

    first = run()
    assert first[1] == "mylib==1.0"
    source.commit("2.0")
    assert run()[0].reused
    assert run(upgrade=True)[1] == "mylib==2.0"
    assert run()[1] == "mylib==2.0"


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
