"""A base image made of this machine's own Python, a bento to put on it, and a registry."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.environment.target import base_interpreter, host_platform
from bentofn.packager.home import Home

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
TOOLS = ("sh", "cat", "chmod", "cp", "id", "ln", "ls", "mkdir", "mv", "rm", "touch")
LEFT_OUT = {"__pycache__", "test", "site-packages", "idlelib", "tkinter", "ensurepip", "lib2to3"}

LINKED = ("libgcc_s.so.1", "libstdc++.so.6", "librt.so.1", "libpthread.so.0", "libdl.so.2")
"""What native packages are linked with; python:slim has them."""

LIBRARIES = [file for name in LINKED for file in sorted(Path("/").glob(f"lib*/*-linux-gnu/{name}"))]
"""Where they are here."""

BENTOFILE = """\
service: "service.py:Greeter"
labels: {team: blue}
models: ["words:1"]
envs:
  - {name: GREETING, value: Hello}
  - {name: TOKEN}
"""

SERVICE = """\
import os

import bentofn


@bentofn.service(name="greeter")
class Greeter:
    words = bentofn.models.BentoModel("words:1")

    def __init__(self) -> None:
        self.word = (self.words.path / "word.txt").read_text().strip()

    @bentofn.api(examples=[{"name": "you"}])
    def greet(self, name: str) -> str:
        return f"{os.environ['GREETING']}, {name} {self.word}, from {os.getuid()}"
"""


@dataclass(frozen=True)
class Part:
    """An entry of a layer made for a test: content, or a link's target, or a folder."""

    path: str
    data: bytes | None = None
    mode: int = 0o644
    link: str = ""


def make_layer(parts: Sequence[Part]) -> tuple[bytes, str]:
    """A gzip layer and its diff_id."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for part in parts:
            info = tarfile.TarInfo(part.path)
            info.mode = part.mode
            if part.link:
                info.type, info.linkname = tarfile.SYMTYPE, part.link
            elif part.data is None:
                info.type, info.mode = tarfile.DIRTYPE, part.mode | 0o111
            else:
                info.size = len(part.data)
            archive.addfile(info, io.BytesIO(part.data or b""))
    plain = buffer.getvalue()
    digest = hashlib.sha256(plain).hexdigest()
    return gzip.compress(plain, 1, mtime=0), f"sha256:{digest}"


def make_layout(
    folder: Path,
    layers: Sequence[Sequence[Part]],
    *,
    architecture: str = "",
    env: Sequence[str] = ("PATH=/usr/local/bin:/usr/bin:/bin",),
) -> Path:
    """An OCI layout with one image, named ``base``."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    made = [make_layer(parts) for parts in layers]
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    config = {
        "architecture": architecture or host_platform().partition("/")[2],
        "os": "linux",
        "config": {"Env": list(env), "Cmd": ["/bin/sh"], "Labels": {"base": "yes"}},
        "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in made]},
        "history": [{"created_by": f"layer {number}"} for number, _ in enumerate(made)],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [put(data, kind) for data, _ in made],
    }
    entry = put(json.dumps(manifest).encode(), str(manifest["mediaType"]))
    entry["annotations"] = {"org.opencontainers.image.ref.name": "base"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


@pytest.fixture(scope="session")
def base_layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base image with Python and a few tools, from the files of this machine."""
    if sys.platform != "linux" or shutil.which("ldd") is None:
        pytest.skip("a base image is made from a Linux machine's files, with ldd")
    python = base_interpreter().resolve()
    library = Path(os.__file__).parent
    modules = sorted(library.rglob("lib-dynload/*.so"))
    tools = [Path(str(shutil.which(tool))).resolve() for tool in TOOLS]
    folders = ("bin", "etc", "lib", "lib64", "proc", "dev", "sys", "tmp", "usr", "usr/local")
    system = {
        **{path: Part(path, mode=0o1777 if path == "tmp" else 0o755) for path in folders},
        "etc/passwd": Part("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
        "etc/group": Part("etc/group", b"root:x:0:\n"),
        "etc/os-release": Part("etc/os-release", b'ID="tiny"\n'),
    }
    for tool, file in zip(TOOLS, tools, strict=True):
        system[f"bin/{tool}"] = Part(f"bin/{tool}", file.read_bytes(), 0o755)
    for file in (*closure([python, *modules, *tools]), *LIBRARIES):
        add(
            system,
            f"lib/{file.name}" if "ld-linux" not in file.name else f"lib64/{file.name}",
            file,
        )
    own: dict[str, Part] = {}
    add(own, f"usr/local/bin/python{MINOR}", python, 0o755)
    for folder, names, files in os.walk(library):
        names[:] = sorted(set(names) - LEFT_OUT)
        for name in sorted(files):
            file = Path(folder) / name
            add(own, f"usr/local/lib/python{MINOR}/{file.relative_to(library)}", file)
    layers = [list(system.values()), [own[path] for path in sorted(own)]]
    return make_layout(
        tmp_path_factory.mktemp("base") / "layout",
        layers,
        env=("PATH=/usr/local/bin:/bin", "LD_LIBRARY_PATH=/lib", "LANG=C.UTF-8"),
    )


def add(parts: dict[str, Part], path: str, file: Path, mode: int = 0o644) -> None:
    """Add a file and the folders above it."""
    above = path.split("/")[:-1]
    for length in range(1, len(above) + 1):
        name = "/".join(above[:length])
        parts.setdefault(name, Part(name, mode=0o755))
    parts[path] = Part(path, file.read_bytes(), 0o755 if "/lib" in f"/{path}" else mode)


def closure(files: Sequence[Path]) -> list[Path]:
    """The shared libraries that files are linked with, by the names that they ask for."""
    done = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False)
    found = re.findall(r"(?:=> )?(/\S+) \(0x", done.stdout)
    return [Path(path) for path in sorted(set(found))]


@pytest.fixture(scope="session")
def greeter(tmp_path_factory: pytest.TempPathFactory, bentofn: Bentofn) -> Home:
    """A home with a bento ``greeter`` that has a model, a variable and a secret."""
    folder = tmp_path_factory.mktemp("greeter")
    home = Home(folder / "home")
    model, project = folder / "model", folder / "project"
    model.mkdir()
    project.mkdir()
    (model / "word.txt").write_text("there\n")
    (project / "bentofile.yaml").write_text(BENTOFILE)
    (project / "service.py").write_text(SERVICE)
    bentofn("models", "import", str(model), "--name", "words", "--version", "1", home=home.path)
    bentofn("build", str(project), home=home.path)
    return home


REGISTRY = shutil.which("docker-registry") or shutil.which("registry")


HTPASSWD = "me:$2y$05$pLerPKTeo6mxUP2Dx/WIEuQZsmSkEkBgFJ34cFrfXWjYcrUtprhqm\n"  # secret
"""Made with `htpasswd -nbB me secret`."""


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry on this machine."""
    with running(tmp_path_factory.mktemp("registry"), {}) as address:
        yield address


@pytest.fixture
def locked_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one that wants the user ``me`` with the password ``secret``."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "htpasswd").write_text(HTPASSWD)
    login = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    with running(folder, login) as address:
        yield address


@contextlib.contextmanager
def running(folder: Path, login: dict[str, Any]) -> Iterator[str]:
    """A registry on this machine; gives its address."""
    if REGISTRY is None:
        pytest.skip("docker-registry is not installed (apt-get install docker-registry)")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
    }
    if login:
        config["auth"] = login
    (folder / "config.json").write_text(json.dumps(config))  # JSON is YAML
    command = [REGISTRY, "serve", str(folder / "config.json")]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as p:
        try:
            answer(f"http://{address}/v2/", p)
            yield address
        finally:
            p.terminate()


def answer(url: str, process: subprocess.Popen[Any], data: bytes | None = None) -> bytes:
    """What a server that a process starts says in the end."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            headers = {"Content-Type": "application/json"} if data else {}
            with opener.open(urllib.request.Request(url, data, headers), timeout=10) as response:
                body: bytes = response.read()
                return body
        except urllib.error.HTTPError as error:
            return error.read()
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"{url} does not answer (the process ended with {process.poll()})")


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skips where commands cannot be run in an unpacked image."""
    command = ["unshare", "--mount", "--pid", "--fork", "mount", "--make-rprivate", "/"]
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("unpacking an image as a root needs root, and unshare of util-linux")
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine forbids mounts")


@dataclass(frozen=True)
class Podman:
    """Podman with a store of its own, set up for this machine's limits.

    Args:
        options: What stands before every command.
    """

    options: tuple[str, ...]

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["podman", *self.options, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def serve(self, image: str, path: str, body: dict[str, Any], *options: str) -> str:
        """What an image answers to one request."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")
        where = ("--network", "host", "--env", f"PORT={port}")
        run = ("run", "--rm", "--name", f"test-{port}", *limits, *where, *options, image)
        with subprocess.Popen(
            ["podman", *self.options, *run], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            try:
                url = f"http://127.0.0.1:{port}{path}"
                return answer(url, process, json.dumps(body).encode()).decode()
            finally:
                self("stop", "--time", "10", f"test-{port}", check=False)
                if process.poll() is None:
                    process.wait(30)


@pytest.fixture(scope="session")
def podman(base_layout: Path) -> Iterator[Podman]:
    """Podman, if it can run containers here."""
    if shutil.which("podman") is None or os.geteuid() != 0:
        pytest.skip("podman is not installed, or this is not root (apt-get install podman runc)")
    runc = shutil.which("runc") or shutil.which("runc", path="/usr/sbin")
    runtime = ("--runtime", runc) if runc else ()
    with tempfile.TemporaryDirectory(prefix="podman-") as folder:  # 50 characters at most
        podman = Podman(("--root", f"{folder}/root", "--runroot", f"{folder}/run", *runtime))
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")
        run = ("run", "--rm", *limits, "--network", "host", f"oci:{base_layout}:base", "/bin/id")
        try:
            tried = podman(*run, check=False)
            if tried.returncode:
                pytest.skip(f"podman cannot run containers here: {tried.stderr[-300:]}")
            yield podman
            podman("rm", "--all", "--force", check=False)
        finally:
            subprocess.run(["umount", f"{folder}/root/overlay"], capture_output=True, check=False)


def join_layouts(lower: Path, upper: Path, target: Path) -> Path:
    """A layout of one image with the layers of two."""
    shutil.copytree(lower, target)
    (manifest, config), (more, above) = documents_of(lower), documents_of(upper)
    for layer in more["layers"]:
        name = Path("blobs", "sha256", layer["digest"][7:])
        shutil.copy(upper / name, target / name)
    manifest["layers"] += more["layers"]
    config["rootfs"]["diff_ids"] += above["rootfs"]["diff_ids"]
    config["history"] += above["history"]
    manifest["config"] |= put_blob(target, json.dumps(config).encode())
    index = json.loads((target / "index.json").read_bytes())
    index["manifests"][0] |= put_blob(target, json.dumps(manifest).encode())
    (target / "index.json").write_text(json.dumps(index))
    return target


def documents_of(layout: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifest and the config of a layout's image."""

    def read(descriptor: dict[str, Any]) -> dict[str, Any]:
        path = layout / "blobs" / "sha256" / descriptor["digest"][7:]
        found: dict[str, Any] = json.loads(path.read_bytes())
        return found

    manifest = read(json.loads((layout / "index.json").read_bytes())["manifests"][0])
    return manifest, read(manifest["config"])


def put_blob(layout: Path, data: bytes) -> dict[str, Any]:
    """Put a blob into a layout; its digest and size."""
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


class Making:
    """What tests make bases of their own with, and ask."""

    part = Part
    layout = staticmethod(make_layout)
    join = staticmethod(join_layouts)
    answer = staticmethod(answer)


@pytest.fixture(scope="session")
def making() -> Making:
    """Makes layouts of given files."""
    return Making()
