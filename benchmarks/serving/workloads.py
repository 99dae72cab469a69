"""What is served: W1 an MLP, W2 sentence embeddings, W3 an echo; each with checked answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from services import EMBEDDINGS, MLP

from bentofn.packager.home import Home
from bentofn.packager.modelstore import local_path
from serving.processes import Request

INPUTS = 64
"""Different inputs of a workload, sent in turn."""

TOLERANCE = 1e-4

_DOCUMENT = {"name": "bento", "count": 3, "tags": ["rice", "fish"], "fresh": True, "of": {"a": 1.5}}
_WORDS = ("a", "box", "holds", "rice", "fish", "and", "pickles", "that", "someone", "packs")


@dataclass(frozen=True)
class Workload:
    """One of the three.

    Args:
        name: The stem of its files in ``apps``.
        case: What the table calls it.
        model: Its model's name in the store, if it has one.
        single: Names the route and the field of one input.
        batched: The same where a request holds a list of inputs.
        inputs: What is sent.
        answers: What each input is answered with.
    """

    name: str
    case: str
    model: str | None
    single: tuple[str, str]
    batched: tuple[str, str] | None
    inputs: Sequence[Any]
    answers: Sequence[Any]

    def requests(self, route: str | None, batches: bool) -> list[Request]:
        """The requests as one peer takes them.

        Args:
            route: Its own name of the route, if it chooses.
            batches: Whether it takes lists of inputs.
        """
        named, field = self.batched if batches and self.batched else self.single
        wraps = batches and self.batched is not None
        return [
            Request(
                named if route is None else route,
                json.dumps({field: [each] if wraps else each}).encode(),
                _equals(answer),
            )
            for each, answer in zip(self.inputs, self.answers, strict=True)
        ]


def mlp(home: Home) -> Workload:
    """W1; puts its weights into the store."""
    MLP.weigh(home)
    weights = load_file(local_path(MLP.model, home)[2] / "model.safetensors")
    random = np.random.default_rng(1)
    rows = random.random((INPUTS, 768)).round(6)
    hidden = rows.astype(np.float32)
    for layer in range(3):
        hidden = hidden @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        hidden = np.maximum(hidden, 0) if layer < 2 else hidden
    single, batched = ("predict", "row"), ("predict", "rows")
    return Workload("mlp", "W1, MLP", MLP.model, single, batched, rows.tolist(), hidden.tolist())


def embeddings(home: Home, encode: Callable[[Path, Sequence[str]], Any]) -> Workload:
    """W2; puts its weights into the store.

    Args:
        home: Whose store.
        encode: Embeds texts with the model in a folder.
    """
    EMBEDDINGS.weigh(home)
    random = np.random.default_rng(2)
    texts = [" ".join(random.choice(_WORDS, 12)) for _ in range(INPUTS)]
    vectors = encode(local_path(EMBEDDINGS.model, home)[2], texts)
    single, batched = ("embed", "text"), ("embed", "texts")
    return Workload(
        "embeddings", "W2, embeddings", EMBEDDINGS.model, single, batched, texts, vectors
    )


def echo() -> Workload:
    """W3."""
    inputs = [{**_DOCUMENT, "count": number} for number in range(INPUTS)]
    return Workload("echo", "W3, echo", None, ("echo", "document"), None, inputs, inputs)


def _equals(answer: Any) -> Callable[[Any], bool]:
    if isinstance(answer, dict):
        return lambda found: found == answer
    expected = np.asarray(answer)

    def is_close(found: Any) -> bool:
        values = np.ravel(found)
        return values.shape == expected.shape and np.allclose(values, expected, atol=TOLERANCE)

    return is_close
