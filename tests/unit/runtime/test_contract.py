from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import bentofn
from bentofn.models import BentoModel
from bentofn.runtime.contract import describe
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json, contract_from_json


class Unknown:
    pass


@bentofn.service
class Deep:
    model = BentoModel("deep:1")

    @bentofn.on_deployment
    @staticmethod
    def prepare() -> None: ...


@bentofn.service(workers=2, envs=[{"name": "LEVEL", "value": "near"}, {"name": "KEY"}])
class Near:
    deep = bentofn.depends(Deep)


@bentofn.service(envs=[{"name": "LEVEL", "value": "entry"}])
class Entry:
    near = bentofn.depends(Near)
    far = bentofn.depends(url="http://127.0.0.1:1")


@bentofn.service(
    name="embeddings",
    path_prefix="/v1",
    traffic={"timeout": 9},
    labels={"team": "search"},
    envs=[
        {"name": "MODE", "value": "fast"},
        {"name": "TOKEN"},
        {"name": "BUILD_ONLY", "value": "1", "stage": "build"},
    ],
)
class Embeddings:
    model = BentoModel("minilm:latest")

    def __init__(self) -> None:
        raise AssertionError("describing made an instance")

    @bentofn.on_deployment
    @staticmethod
    def prepare() -> None: ...

    @bentofn.api(batchable=True, max_batch_size=8, examples=[{"texts": ["a"]}])
    def embed(self, texts: list[str], ctx: bentofn.Context) -> np.ndarray:
        """Embed."""
        return np.zeros(len(texts))

    @bentofn.api
    def stream(self, n: int = 3) -> Iterator[str]:
        yield str(n)


def test_a_contract() -> None:
    contract = describe(Embeddings)
    assert (contract.name, contract.path_prefix) == ("embeddings", "/v1")
    assert contract.import_string == f"{__name__}:Embeddings"
    endpoints = {"livez": "/v1/livez", "readyz": "/v1/readyz"}
    assert contract.config == {"traffic": {"timeout": 9}, "endpoints": endpoints}
    assert contract.models == ("minilm:latest",)
    assert contract.has_deployment_hook
    assert contract.envs == {"MODE": "fast", "TOKEN": None}
    assert contract.labels == {"team": "search"}
    embed, stream = contract.apis
    assert (embed.name, embed.route, embed.doc) == ("embed", "/embed", "Embed.")
    assert (embed.batchable, embed.max_batch_size, embed.is_stream) == (True, 8, False)
    assert embed.examples == ({"texts": ["a"]},)
    assert embed.input_schema["required"] == ["texts"]
    assert set(embed.input_schema["properties"]) == {"texts"}
    assert embed.output_schema == {
        "title": "Output",
        "type": "tensor",
        "format": "numpy-array",
    }
    assert stream.is_stream
    assert stream.input_schema["properties"]["n"]["default"] == 3


def test_a_contract_survives_json() -> None:
    contract = describe(Embeddings)
    assert contract_from_json(canonical_json(contract)) == contract


def refused(service: bentofn.Service[Any]) -> str:
    with pytest.raises(UserError) as caught:
        describe(service)
    return str(caught.value)


def test_a_parameter_that_cannot_be_served() -> None:
    @bentofn.service
    class Odd:
        @bentofn.api
        def run(self, good: int, thing: list[Unknown]) -> int:
            return 1

    message = refused(Odd)
    assert "Odd.run: parameter 'thing' is annotated list[" in message
    assert "Unknown], which cannot be served" in message
    assert "numpy.ndarray" in message


def test_a_result_that_cannot_be_served() -> None:
    @bentofn.service
    class Odd:
        @bentofn.api
        def run(self) -> Unknown:
            return Unknown()

    assert "Odd.run: the result is annotated" in refused(Odd)


def test_an_annotation_that_names_nothing() -> None:
    @bentofn.service
    class Odd:
        @bentofn.api
        def run(self, thing: Absent) -> int:  # type: ignore[name-defined] # noqa: F821
            return 1

    message = refused(Odd)
    assert "Odd.run: its annotations (thing: Absent, return: int) cannot be resolved" in message


def test_signatures_that_are_not_supported() -> None:
    @bentofn.service
    class Many:
        @bentofn.api
        def run(self, ctx: bentofn.Context, *args: int) -> int:
            return 1

    @bentofn.service
    class Mixed:
        @bentofn.api
        def run(self, a: int, /, b: int) -> int:
            return 1

    @bentofn.service
    class Batch:
        @bentofn.api(batchable=True)
        def run(self, a: list[int], b: int) -> list[int]:
            return a

    @bentofn.service
    class BatchedStream:
        @bentofn.api(batchable=True)
        def run(self, a: list[int]) -> Iterator[int]:
            yield 1

    @bentofn.service
    class Named:
        @bentofn.api
        def run(self, request: bentofn.Context) -> int:
            return 1

    assert "put the parameter 'ctx' after *args" in refused(Many)
    assert "must then be the only parameter" in refused(Mixed)
    assert "it has 2 parameters" in refused(Batch)
    assert "a stream cannot be batched" in refused(BatchedStream)
    assert "name the Context parameter 'ctx' or 'context', not 'request'" in refused(Named)


def test_an_example_that_cannot_be_sent() -> None:
    @bentofn.service
    class Root:
        @bentofn.api(examples=[{"text": "x"}])
        def shout(self, text: str, /) -> str:
            return text

    message = refused(Root)
    assert "Root.shout: the example {'text': 'x'} cannot be sent" in message


def test_an_entry_is_described_with_all_that_it_depends_on() -> None:
    entry = describe(Entry)

    assert entry.dependencies == {"far": "http://127.0.0.1:1", "near": "Near"}
    assert [each.name for each in entry.services] == ["Deep", "Near"]
    assert entry.models == ("deep:1",)
    assert entry.envs == {"LEVEL": "entry", "KEY": None}
    assert entry.has_deployment_hook
    near = entry.services[1]
    assert (near.dependencies, near.services) == ({"deep": "Deep"}, ())
    assert near.config == {"workers": 2}
    assert contract_from_json(canonical_json(entry)) == entry
