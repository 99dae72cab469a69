"""The functions whose cold starts are measured, written and weighed with random weights."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from services import EMBEDDINGS, HERE, Subject

from bentofn.packager.home import Home
from bentofn.packager.modelstore import import_model
from bentofn.packager.store import Store

Shapes = Mapping[str, tuple[int, ...]]

LAYERS = 8
CNN_WIDTHS = (3, 32, 64, 128, 256)
RNN_WIDTH, RNN_LETTERS = 256, 27
LOGREG_FEATURES = 1 << 18


def cnn_shapes() -> Shapes:
    """Of the convolutional network in ``projects/cnn``."""
    shapes: dict[str, tuple[int, ...]] = {"18.weight": (100, 256), "18.bias": (100,)}
    for block, (narrow, wide) in enumerate(itertools.pairwise(CNN_WIDTHS)):
        for layer, channels in ((block * 4, narrow), (block * 4 + 2, wide)):
            shapes |= {f"{layer}.weight": (wide, channels, 3, 3), f"{layer}.bias": (wide,)}
    return shapes


def rnn_shapes() -> Shapes:
    """Of the recurrent network in ``projects/rnn``."""
    gates = 3 * RNN_WIDTH
    return {
        "embedding.weight": (RNN_LETTERS, RNN_WIDTH),
        "cell.weight_ih": (gates, RNN_WIDTH),
        "cell.weight_hh": (gates, RNN_WIDTH),
        "cell.bias_ih": (gates,),
        "cell.bias_hh": (gates,),
        "output.weight": (RNN_LETTERS, RNN_WIDTH),
        "output.bias": (RNN_LETTERS,),
    }


def stack_shapes(megabytes: int) -> Shapes:
    """Of square layers that hold so many megabytes of float32."""
    wide = int((megabytes * 1e6 / 4 / LAYERS) ** 0.5)
    return {str(layer): (wide, wide) for layer in range(LAYERS)}


def weigh(home: Home, model: str, shapes: Shapes, dtype: type = np.float32) -> None:
    """Put a model of random weights into a home's store, the same whenever it is made."""
    random = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {
        name: random.normal(0, shape[-1] ** -0.5, shape).astype(dtype)
        for name, shape in shapes.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        save_file(tensors, Path(folder) / "model.safetensors")
        import_model(Store(home), Path(folder), model)


def write(project: str, target: Path, name: str) -> None:
    """Write one of the projects under a name of its own."""
    shutil.copytree(HERE / "projects" / project, target)
    for file in target.iterdir():
        file.write_text(file.read_text().replace(f"bench-{project}", name))


def function(project: str, request: tuple[str, Mapping[str, object]]) -> Subject:
    """A function of one of the projects that has no model."""
    name = f"bench-{project}"
    return Subject(name, "", request, lambda to: write(project, to, name), lambda home: None)


def weighed(
    project: str,
    request: tuple[str, Mapping[str, object]],
    shapes: Shapes,
    name: str | None = None,
    dtype: type = np.float32,
) -> Subject:
    """A function of one of the projects, with its model."""
    name = name or f"bench-{project}"
    return Subject(
        name,
        name,
        request,
        lambda to: write(project, to, name),
        lambda home: weigh(home, name, shapes, dtype),
    )


def stack(megabytes: int) -> Subject:
    """A function that holds so many megabytes of weights and reads each once."""
    request = ("predict", {"value": 0.5})
    return weighed("weights", request, stack_shapes(megabytes), f"bench-weights-{megabytes}")


ECHO = function("echo", ("echo", {"text": "hello"}))
CNN = weighed("cnn", ("classify", {"pixels": [[[200, 30, 90]] * 32] * 32}), cnn_shapes())
RNN = weighed("rnn", ("generate", {"start": "be"}), rnn_shapes())
LOGREG = weighed(
    "logreg",
    ("judge", {"reviews": ["It broke within a week.", "My best purchase this year."]}),
    {"coefficients": (1, LOGREG_FEATURES), "intercept": (1,)},
    dtype=np.float64,
)
PUBLIC_KIND = (CNN, RNN, LOGREG)
"""Of the kinds that public serverless benchmarks use (FunctionBench's model serving)."""

__all__ = ["CNN", "ECHO", "EMBEDDINGS", "LOGREG", "PUBLIC_KIND", "RNN", "stack"]
