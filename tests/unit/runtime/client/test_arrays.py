"""Arrays between clients and services of ours: as they are, and as JSON where they must be."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import bentofn
from bentofn import AsyncHTTPClient, SyncHTTPClient
from bentofn.runtime.client.arrays import body_of
from bentofn.runtime.client.plain import as_json
from bentofn.runtime.io import binary
from bentofn.validators import DType

URL = "http://service"
JSON = "application/json"


def seen(ctx: bentofn.Context, *values: Any) -> list[str]:
    """What came: the body's media type, and the arrays' element types."""
    return [ctx.request.headers["content-type"], *(str(value.dtype) for value in values)]


@bentofn.service
class Arrays:
    @bentofn.api
    def one(self, values: np.ndarray, ctx: bentofn.Context) -> list[str]:
        return seen(ctx, values)

    @bentofn.api
    def root(self, values: np.ndarray, /) -> np.ndarray:
        return values

    @bentofn.api
    def typed(self, values: Annotated[np.ndarray, DType("float32")]) -> np.ndarray:
        return values

    @bentofn.api
    def tensor(self, values: torch.Tensor) -> torch.Tensor:
        return values

    @bentofn.api
    def several(
        self, a: np.ndarray, b: torch.Tensor, ctx: bentofn.Context, text: str = "", n: int = 0
    ) -> list[Any]:
        return [*seen(ctx, a, b), a.tolist(), b.tolist(), text, n]

    @bentofn.api
    def objects(self, values: np.ndarray) -> np.ndarray:
        return np.array([None, *values], dtype=object)

    @bentofn.api
    def media_type_of_the_answer(self, values: np.ndarray, ctx: bentofn.Context) -> np.ndarray:
        return np.array([len(ctx.request.headers["accept"])])


@pytest.fixture(scope="module")
def app() -> Any:
    return Arrays.to_asgi()


def test_arrays_travel_as_they_are(app: Any) -> None:
    numbers = np.arange(6, dtype="int16").reshape(2, 3).T
    with SyncHTTPClient(URL, app=app) as client:
        assert client.one(numbers) == [binary.NPY[0], "int16"]
        assert client.one(values=torch.ones(2)) == [binary.NPY[0], "float32"]
        assert client.one([1.5, 2]) == [JSON, "float64"]
        assert client.one(np.array(["a"])) == [JSON, "<U1"]
        found = client.root(numbers)
        assert (found.dtype, found.shape) == ("int16", (3, 2))
        found += 1  # it is the caller's own
        assert found.tolist() == (numbers + 1).tolist()
        assert client.typed(numbers).dtype == "float32"
        assert client.root(np.array([np.nan, np.inf]))[0] != 0


def test_tensors_have_the_element_type_that_json_gives_them_too(app: Any) -> None:
    with SyncHTTPClient(URL, app=app) as client, SyncHTTPClient(URL, app=app, media_type=JSON) as j:
        for value, dtype in (
            (np.array([1.5]), torch.float32),
            (np.array([1]), torch.int64),
            (np.array([True]), torch.bool),
            ([1.5], torch.float32),
        ):
            assert torch.equal(client.tensor(value), j.tensor(value))
            assert client.tensor(value).dtype == j.tensor(value).dtype == dtype
        assert client.tensor(torch.ones(1, dtype=torch.float64)).dtype == torch.float64
        assert client.tensor(torch.ones(1, dtype=torch.bfloat16)).tolist() == [1.0]


def test_several_arrays_go_beside_the_other_arguments(app: Any) -> None:
    a, b = np.arange(3), torch.ones(2)
    with SyncHTTPClient(URL, app=app) as client:
        came = [binary.SAFETENSORS, "int64", "torch.float32", [0, 1, 2], [1, 1]]
        assert client.several(a, b, text='"ü', n=2) == [*came, '"ü', 2]
        assert client.several(a, [1.0, 1.0], text="1") == [*came, "1", 0]
        long = "x" * (1 << 20)
        assert client.several(a, b, text=long)[-2:] == [long, 0]


def test_what_is_no_array_of_numbers_comes_as_json(app: Any) -> None:
    with SyncHTTPClient(URL, app=app) as client:
        assert client.objects(np.array([1.5])).tolist() == [None, 1.5]


def test_only_json_where_it_is_asked_for_and_where_the_server_was_not(app: Any) -> None:
    for options in ({"media_type": JSON}, {"service": Arrays}):
        with SyncHTTPClient(URL, app=app, **options) as client:
            assert client.one(np.ones(1, dtype="int8")) == [JSON, "int64"]
            assert client.media_type_of_the_answer([1]).tolist() == [len("*/*")]


def test_the_asynchronous_client_does_the_same(app: Any) -> None:
    async def ask() -> None:
        service = Arrays.to_asgi()
        await service.start()
        async with AsyncHTTPClient(URL, app=service) as client:
            assert await client.one(np.ones(2, dtype="int8")) == [binary.NPY[0], "int8"]
            assert (await client.root(np.ones(2, dtype="int8"))).dtype == "int8"
        await service.stop()

    asyncio.run(ask())


NUMBERS = st.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(),
    arrays.unsigned_integer_dtypes(),
    arrays.floating_dtypes(sizes=(16, 32, 64)),
)


@given(
    arrays.arrays(NUMBERS, arrays.array_shapes(min_dims=0, min_side=0, max_side=3)),
    st.text(max_size=9),
    st.booleans(),
)
def test_a_service_reads_what_a_client_wrote(array: Any, text: str, is_alone: bool) -> None:
    tensor = {"type": "tensor", "format": "numpy-array"}
    values = {"a": array} if is_alone else {"a": array, "t": text}
    written = body_of(values, {"a": tensor}, binary.MEDIA_TYPES)
    assert written is not None
    body, media_type = written
    found = binary.decode(bytearray(body), media_type, tuple(values))
    np.testing.assert_array_equal(found.pop("a"), array)
    assert found == ({} if is_alone else {"t": text})


def test_what_is_masked_is_not_sent_as_a_number() -> None:
    values = np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False])
    schema = {"values": {"type": "tensor", "format": "numpy-array"}}
    assert body_of({"values": values}, schema, tuple(binary.MEDIA_TYPES)) is None
    assert as_json(values, schema["values"]) == b"[1.0,null,3.0]"
    with pytest.raises(ValueError, match="mask"):
        binary.as_numpy(values)
