"""Who serves: each peer at its best settings, some in two variants of which the better counts."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services import report

from bentofn.commands.init import write_template
from bentofn.packager.build import BuildOptions, build
from bentofn.packager.environment.uv import uv_binary
from bentofn.packager.home import Home
from bentofn.packager.modelstore import local_path
from serving.environments import cache, environment
from serving.workloads import Workload

MODELS = ("safetensors", "tokenizers", "numpy")
"""What the models import beside torch, which is the one that bentofn's own run takes."""

CHECKOUT = Path(__file__).parents[2]
APPS = Path(__file__).with_name("apps")
EXAMPLE = CHECKOUT / "examples" / "embeddings"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
ENTRY = {"mlp": "Predict", "embeddings": "Embed", "echo": "Echo"}
"""Each workload's class, where a peer is told it by name."""


@dataclass(frozen=True)
class Contender:
    """One way to serve one workload.

    Args:
        name: What the table calls it.
        command: The command line for a port.
        environment: Its variables.
        folder: Its working directory.
        route: Its own name of the route, if it has one.
        batches: Whether a request holds a list of inputs.
    """

    name: str
    command: Callable[[int], Sequence[str]]
    environment: Mapping[str, str]
    folder: Path
    route: str | None = None
    batches: bool = False


@dataclass(frozen=True)
class Peer:
    """A peer.

    Args:
        name: Its name, and that of its folder in ``apps``.
        distributions: What is installed.
        command: The command line for an interpreter, a workload and a port.
        variants: What a variant is called, and its variables.
        unbatched: The variant that serves what is not batched.
        route: As :class:`Contender`'s.
        batches: As :class:`Contender`'s.
        environment: Variables of every variant.
    """

    name: str
    distributions: Sequence[str]
    command: Callable[[Path, str, int], Sequence[str]]
    variants: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"": {}})
    unbatched: str = ""
    route: str | None = None
    batches: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def _script(python: Path, workload: str, port: int) -> list[str]:
    return [str(python), f"{workload}.py"]


def _mosec(python: Path, workload: str, port: int) -> list[str]:
    return [*_script(python, workload, port), "--address", "127.0.0.1", "--port", str(port)]


def _uvicorn(python: Path, workload: str, port: int) -> list[str]:
    options = ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    options += ["--loop", "uvloop", "--http", "httptools"]
    return [str(python), "-m", "uvicorn", f"{workload}:app", *options]


def _granian(python: Path, workload: str, port: int) -> list[str]:
    options = ["--interface", "asgi", "--port", str(port), "--no-access-log", "--loop", "uvloop"]
    return [str(python), "-m", "granian", *options, f"{workload}:app"]


def _bentoml(python: Path, workload: str, port: int) -> list[str]:
    entry = f"{workload}:{ENTRY[workload]}"
    return [str(python.with_name("bentoml")), "serve", entry, "--port", str(port)]


_BATCHED = {"": {"BENCH_BATCH": "64"}, ", unbatched": {"BENCH_BATCH": "1"}}

PEERS = (
    Peer(
        "bentoml",
        ("bentoml",),
        _bentoml,
        batches=True,
        environment={"BENTOML_DO_NOT_TRACK": "1", "BENTOML_HOME": "bentoml"},
    ),
    Peer("litserve", ("litserve",), _script, _BATCHED, ", unbatched"),
    Peer("mosec", ("mosec",), _mosec, _BATCHED, ", unbatched", route="inference"),
    Peer("ray", ("ray[serve]",), _script, environment={"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}),
    Peer("fastapi", ("fastapi", "uvicorn[standard]"), _uvicorn),
    Peer("fastapi, granian", ("fastapi", "granian", "uvloop"), _granian),
)


def peer_python(peer: Peer, home: Home) -> Path:
    """The interpreter of a peer's environment, which is made if there is none.

    Remove its folder in ``$BENTOFN_BENCH_PEERS`` (``~/.cache/bentofn/peers``) to have the peer's
    newest version.

    Raises:
        UserError: A package cannot be had.
    """
    folder = Path(os.environ.get("BENTOFN_BENCH_PEERS") or cache() / "peers")
    torch = f"torch=={importlib.metadata.version('torch').partition('+')[0]}"
    packages = [torch, *MODELS, *peer.distributions]
    return environment(folder / peer.name.replace(", ", "-"), packages, home, report=report)


def our_python(home: Home) -> Path:
    """The interpreter of an environment with this checkout's wheel, as a user installs it.

    Raises:
        UserError: A dependency cannot be had.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [uv_binary(), "build", "--quiet", "--wheel", "--out-dir", folder, str(CHECKOUT)]
        subprocess.run(command, check=True)
        wheel = next(Path(folder).glob("*.whl"))
        mark = hashlib.sha256(wheel.read_bytes()).hexdigest()
        return environment(cache() / "own", [str(wheel)], home, mark=mark, report=report)


def contenders(peer: Peer, workload: Workload, home: Home, scratch: Path) -> list[Contender]:
    """A peer's ways to serve a workload; writes their files.

    Args:
        peer: The peer.
        workload: The workload.
        home: Whose model store holds the weights.
        scratch: Where the files are written.
    """
    python = peer_python(peer, home)
    folder = scratch / f"{peer.name}-{workload.name}"
    shutil.copytree(APPS / peer.name.partition(",")[0], folder)
    shutil.copy(APPS / "model.py", folder)
    shutil.copy(EXAMPLE / "encoder.py", folder)
    weights = {} if workload.model is None else _weights(workload.model, home)
    only = None if workload.batched else peer.unbatched
    return [
        Contender(
            peer.name + (variant if only is None else ""),
            lambda port: peer.command(python, workload.name, port),
            {**ONE_THREAD, **peer.environment, **variables, **weights, "TMPDIR": str(folder)},
            folder,
            peer.route,
            peer.batches,
        )
        for variant, variables in peer.variants.items()
        if only is None or variant == only
    ]


def ours(workload: Workload, home: Home, scratch: Path, python: Path) -> Contender:
    """bentofn: the workload's bento, without a snapshot.

    Args:
        workload: The workload.
        home: Where it is built.
        scratch: Where the project is written.
        python: From :func:`our_python`.
    """
    project = scratch / f"bentofn-{workload.name}"
    if workload.name == "embeddings":
        write_template("embeddings", project)
    else:
        shutil.copytree(APPS / "bentofn" / workload.name, project)
        shutil.copy(APPS / "model.py", project)
    tag = build(project, home, BuildOptions(), report).tag
    program = python.with_name("bentofn")
    return Contender(
        "bentofn",
        lambda port: [str(program), "serve", tag, "--port", str(port)],
        {**ONE_THREAD, "BENTOFN_HOME": str(home.path)},
        scratch,
        batches=True,
    )


def _weights(model: str, home: Home) -> dict[str, str]:
    return {"BENCH_MODEL": str(local_path(model, home)[2])}
