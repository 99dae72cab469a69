"""Arrays as bodies of their own, in and out."""

from __future__ import annotations

import asyncio
import io
from typing import Annotated, Any

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray

import bentofn
from bentofn.runtime.io.binary import MEDIA_TYPES, NPY, SAFETENSORS
from bentofn.validators import DType, Shape

from .conftest import Answer, OpenApp


@bentofn.service(name="arrays")
class Arrays:
    @bentofn.api
    def double(self, values: np.ndarray) -> np.ndarray:
        values *= 2
        return values

    @bentofn.api
    def whole(self, values: NDArray[np.float32], /) -> NDArray[np.float32]:
        return values

    @bentofn.api
    def shaped(self, values: Annotated[np.ndarray, Shape((2, -1)), DType("float32")]) -> str:
        return f"{values.shape} {values.dtype}"

    @bentofn.api
    def weigh(self, values: np.ndarray, weights: torch.Tensor, bias: float = 0.0) -> torch.Tensor:
        return torch.from_numpy(values) * weights + bias

    @bentofn.api
    def parts(self, values: np.ndarray) -> dict[str, np.ndarray]:
        return {"low": values[:1], "high": values[1:]}

    @bentofn.api(batchable=True, max_batch_size=64)
    def batch(self, rows: np.ndarray) -> np.ndarray:
        return rows.sum(axis=1)

    @bentofn.api
    def text(self, words: str) -> str:
        return words


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def read(answer: Answer) -> Any:
    assert answer.status == 200, answer.text
    return np.load(io.BytesIO(answer.body), allow_pickle=False)


async def test_an_array_in_and_out(open_app: OpenApp) -> None:
    array = np.arange(6.0).reshape(2, 3)
    async with open_app(Arrays) as client:
        for media_type in NPY:
            headers = {"content-type": media_type, "accept": media_type}
            answer = await client.post("/double", npy(array), headers=headers)
            assert answer.headers["content-type"] == media_type
            np.testing.assert_array_equal(read(answer), array * 2)
        as_json = await client.post("/double", npy(array), headers={"content-type": NPY[0]})
        assert as_json.json == (array * 2).tolist()
        both = await client.post("/double", {"values": array.tolist()}, headers={"accept": NPY[1]})
        np.testing.assert_array_equal(read(both), array * 2)
        root = await client.post(
            "/whole", npy(array), headers={"content-type": NPY[0], "accept": NPY[0]}
        )
        assert read(root).dtype == np.float32


@bentofn.service(name="maybe")
class Maybe:
    @bentofn.api
    def maybe(self, values: np.ndarray | None = None) -> np.ndarray | None:
        return values


async def test_no_array_is_answered_in_json(open_app: OpenApp) -> None:
    async with open_app(Maybe) as client:
        answer = await client.post("/maybe", {}, headers={"accept": NPY[0]})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json is None


async def test_what_is_accepted(open_app: OpenApp) -> None:
    async with open_app(Arrays) as client:
        for accept, media_type in (
            ("*/*", "application/json"),
            (f"application/json, {NPY[0]}", "application/json"),
            (f"application/json;q=0.5, {NPY[1]}", NPY[1]),
            (f"{NPY[0]};q=0", "application/json"),
            (SAFETENSORS, SAFETENSORS),
        ):
            answer = await client.post("/double", {"values": [1]}, headers={"accept": accept})
            assert answer.headers["content-type"] == media_type, accept
        (name,) = safetensors.numpy.load(answer.body)
        assert name == "result"


async def test_several_arrays_by_name(open_app: OpenApp) -> None:
    arrays = {"values": np.arange(3.0), "weights": np.full(3, 2.0)}
    body = safetensors.numpy.save(arrays, {"bias": "1.5", "other": "x"})
    async with open_app(Arrays) as client:
        answer = await client.post("/weigh", body, headers={"content-type": SAFETENSORS})
        assert answer.json == [1.5, 3.5, 5.5]
        missing = await client.post(
            "/weigh", safetensors.numpy.save({"values": np.ones(1)}),
            headers={"content-type": SAFETENSORS},
        )  # fmt: skip
        assert missing.status == 400
        assert missing.json["detail"][0]["loc"] == ["weights"]
        parts = await client.post("/parts", {"values": [1, 2]}, headers={"accept": SAFETENSORS})
        found = safetensors.numpy.load(parts.body)
        assert {name: array.tolist() for name, array in found.items()} == {"low": [1], "high": [2]}


async def test_shape_and_type_are_brought_about_as_from_json(open_app: OpenApp) -> None:
    headers = {"content-type": NPY[0]}
    async with open_app(Arrays) as client:
        answer = await client.post("/shaped", npy(np.arange(4)), headers=headers)
        assert answer.text == "(2, 2) float32"
        wrong = await client.post("/shaped", npy(np.arange(3)), headers=headers)
        assert (wrong.status, wrong.json["detail"][0]["type"]) == (400, "value_error")


async def test_binary_requests_form_batches_with_the_others(open_app: OpenApp) -> None:
    async with open_app(Arrays) as client:
        answers = await asyncio.gather(
            *(
                client.post("/batch", npy(np.full((1, 3), float(n))), headers={
                    "content-type": NPY[0], "accept": NPY[0]})
                for n in range(8)
            ),
            client.post("/batch", {"rows": [[1.0, 2.0, 3.0]]}),
        )  # fmt: skip
    assert [read(answer).tolist() for answer in answers[:-1]] == [[3.0 * n] for n in range(8)]
    assert answers[-1].json == [6.0]


async def test_what_cannot_be_read(open_app: OpenApp) -> None:
    async with open_app(Arrays) as client:
        broken = await client.post("/double", b"nothing", headers={"content-type": NPY[0]})
        assert (broken.status, broken.json) == (
            400,
            [{"error": "The body cannot be read: the body is no .npy file."}],
        )
        other = await client.post("/text", npy(np.ones(1)), headers={"content-type": NPY[0]})
        assert other.status == 415
        two = await client.post("/weigh", npy(np.ones(1)), headers={"content-type": NPY[0]})
        assert (two.status, SAFETENSORS in two.text) == (415, True)


async def test_the_documentation_tells_them(open_app: OpenApp) -> None:
    async with open_app(Arrays) as client:
        paths = (await client.get("/docs.json")).json["paths"]
    taken = paths["/double"]["post"]["requestBody"]["content"]
    assert set(taken) == {"application/json", *MEDIA_TYPES}
    answered = paths["/parts"]["post"]["responses"]["200"]["content"]
    assert set(answered) == {"application/json", SAFETENSORS}
    assert set(paths["/text"]["post"]["requestBody"]["content"]) == {"application/json"}
