"""The services that are packaged: the embeddings example, and a torch and FastAPI one."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from bentofn.commands.demo import MODEL, import_weights
from bentofn.commands.init import write_template
from bentofn.packager.home import Home
from bentofn.packager.modelstore import import_model
from bentofn.packager.store import Store

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Subject:
    """A service to package.

    Args:
        name: Its name.
        model: Name of its model.
        request: Path and JSON body of a call.
        write: Writes the project into a folder that does not exist.
        weigh: Puts the model into a home's store.
        last_block: Start of the names of its model's last tensors.
    """

    name: str
    model: str
    request: tuple[str, Mapping[str, Any]]
    write: Callable[[Path], None]
    weigh: Callable[[Home], None]
    last_block: str = ""


def report(step: str) -> None:
    """Tell what is being done."""
    print(f"# {step}", file=sys.stderr, flush=True)


def write_mlp(project: Path) -> None:
    """Write the torch and FastAPI service."""
    shutil.copytree(HERE / "projects" / "mlp", project)


def weigh_mlp(home: Home) -> None:
    """Make the weights of its MLP, 768-1024-1024-10: 7 MB of float32."""
    random = np.random.default_rng(0)
    sizes = (768, 1024, 1024, 10)
    tensors: dict[str, np.ndarray] = {}
    for layer, (wide, narrow) in enumerate(itertools.pairwise(sizes)):
        scale = 1 / np.sqrt(wide)
        tensors[f"{layer}.weight"] = random.normal(0, scale, (narrow, wide)).astype(np.float32)
        tensors[f"{layer}.bias"] = np.zeros(narrow, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        save_file(tensors, Path(folder) / "model.safetensors")
        import_model(Store(home), Path(folder), "bench-mlp")


EMBEDDINGS = Subject(
    "embeddings",
    MODEL,
    ("embed", {"texts": ["A man is eating."]}),
    lambda project: write_template("embeddings", project),
    lambda home: import_weights(home, report),
    last_block="encoder.layer.5.",
)
MLP = Subject(
    "mlp",
    "bench-mlp",
    ("predict", {"rows": [[0.5] * 768]}),
    write_mlp,
    weigh_mlp,
    last_block="2.",
)


def change_one_line(project: Path, number: int) -> None:
    """Change a line in the body of an endpoint."""
    service = project / "service.py"
    lines = service.read_text().splitlines(keepends=True)
    changed = [line for line in lines if "# change" not in line]
    last = changed.pop()
    indent = last[: len(last) - len(last.lstrip())]
    service.write_text("".join([*changed, f"{indent}number = {number}  # change\n", last]))


def ask(url: str, subject: Subject) -> Any:
    """Call the service once; gives its answer."""
    path, body = subject.request
    request = urllib.request.Request(
        f"{url.rstrip('/')}/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=120) as answer:
        return json.load(answer)
