"""Today's way of packaging the same service: plain environment, gzip image, bentoml, buildah."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast

from bentofn.packager.environment.install import install
from bentofn.packager.environment.pip_config import read_pip_config
from bentofn.packager.environment.resolve import Lock
from bentofn.packager.environment.target import find_target
from bentofn.packager.home import Home
from bentofn.packager.layers import LayerFile
from bentofn.packager.layers.tar import write_layer
from bentofn.runtime.manifest import BentoManifest

# Where a machine limits what its processes may raise, the defaults of buildah fail.
ULIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


class _Nowhere(io.RawIOBase):
    """Takes bytes and forgets them: a layer's size is all that is asked for."""

    def write(self, data: Any) -> int:
        return len(data)


def _run(command: list[str], environment: dict[str, str], folder: Path) -> None:
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr[-2000:]}{done.stdout[-500:]}")


def plain_environment(manifest: BentoManifest, target: Path, home: Home) -> Path:
    """The packages of a bento as the installer leaves them: not slimmed, no bytecode.

    Args:
        manifest: The bento's, for its lock.
        target: The folder to install into.
        home: For the installer's scratch.
    """
    settings = read_pip_config(os.environ)
    place = find_target(manifest.python, manifest.platform)
    install(Lock(manifest.lock), settings, place, target, target.parent, home)
    return target


def gzip_layer(folders: Iterable[tuple[str, Path]]) -> int:
    """Bytes of one image layer, ``gzip -6``, that holds these folders.

    Args:
        folders: Name in the layer, and folder.
    """
    files = [
        LayerFile(f"{name}/{path.relative_to(folder).as_posix()}", path)
        for name, folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return write_layer(files, cast("BinaryIO", _Nowhere()), "gzip").size


def install_bentoml(folder: Path, packages: Iterable[str]) -> Path:
    """A virtual environment with stock BentoML and what the service imports; gives its program."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "bentoml", *packages], check=True)
    return folder / "bin" / "bentoml"


def bentoml_build(program: Path, project: Path, home: Path) -> float:
    """Seconds of ``bentoml build``."""
    environment = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "1"}
    began = time.perf_counter()
    _run([str(program), "build"], environment, project)
    return time.perf_counter() - began


def write_context(context: Path, env: Path, models: Path, project: Path) -> None:
    """A build context whose layers stand in the best order: packages, weights, code."""
    context.mkdir()
    shutil.copytree(env, context / "env", symlinks=True)
    shutil.copytree(models, context / "models")
    shutil.copytree(project, context / "src")
    (context / "Dockerfile").write_text(
        "FROM scratch\nCOPY env /env\nCOPY models /models\nCOPY src /src\n"
    )


def buildah_build(context: Path, storage: Path) -> float:
    """Seconds of ``buildah bud --layers`` with its cache in a folder."""
    command = ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run")]
    command += ["bud", "--layers", "--isolation", "chroot", *ULIMITS, "-t", "today", str(context)]
    began = time.perf_counter()
    _run(command, dict(os.environ), context)
    return time.perf_counter() - began


def write_stock_project(project: Path, target: Path) -> None:
    """The same service for stock BentoML: its decorators, and its weights by path."""
    shutil.copytree(project, target)
    (target / "serverless.yml").unlink(missing_ok=True)
    service = target / "service.py"
    text = service.read_text()
    text = text.replace("import bentofn\n", "import bentoml\n").replace("@bentofn.", "@bentoml.")
    text = text.replace("from bentofn.models import BentoModel\n", "from pathlib import Path\n")
    lines = [line for line in text.splitlines(keepends=True) if "BentoModel(" not in line]
    lines = [line for line in lines if "examples=[" not in line]
    service.write_text("".join(lines).replace("self.model.path", 'Path("model")'))
    bentofile = target / "bentofile.yaml"
    kept = bentofile.read_text().split("models:\n")[0]
    bentofile.write_text(kept)
