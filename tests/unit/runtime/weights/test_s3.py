"""Weights from S3, over the wire that moto's server has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import safetensors.torch
import torch
from moto.server import ThreadedMotoServer

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.loading import load_file, load_files
from bentofn.runtime.weights.sources.s3 import S3Source

URL = "s3://weights/models/x.safetensors"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="weights")
    put(client, given())
    return client


def given() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"a": torch.randn(3 << 20), "b": torch.arange(10), "c": torch.randn(40, 30)}


def put(client: Any, tensors: dict[str, torch.Tensor], key: str = "models/x.safetensors") -> None:
    client.put_object(Bucket="weights", Key=key, Body=safetensors.torch.save(tensors))


def test_all_of_an_object(s3: Any) -> None:
    found = load_file(URL)
    assert all(torch.equal(found[name], tensor) for name, tensor in given().items())


def test_slices_of_it(s3: Any) -> None:
    found = load_files([URL], slices={"c": (slice(None), slice(3, 9))})
    assert torch.equal(found["c"], given()["c"][:, 3:9])


@pytest.mark.parametrize("key", ["größe 1?.safetensors", "a#b", "/x"])
def test_any_key(s3: Any, key: str) -> None:
    put(s3, {"a": torch.ones(3)}, key)
    assert load_file(f"s3://weights/{key}")["a"].tolist() == [1, 1, 1]


def test_an_object_that_is_replaced_meanwhile(s3: Any) -> None:
    source = S3Source(URL)
    put(s3, {"other": torch.ones(5)})
    with pytest.raises(UserError, match=r"s3://weights/.* was changed while it was read"):
        source.read(0, memoryview(bytearray(100)))
    source.close()


@pytest.mark.parametrize(
    "url", ["s3://weights/none.safetensors", "s3://no-such-bucket/x", "s3://NO BUCKET/x", "s3://"]
)
def test_what_is_not_there(s3: Any, url: str) -> None:
    with pytest.raises(UserError, match=f"Cannot read {url}") as failed:
        load_file(url)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_PROFILE", "nobody"), ("AWS_ENDPOINT_URL_S3", "nowhere")]
)
def test_settings_that_lead_nowhere(
    s3: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=rf"Cannot read {URL}: .*{value}"):
        load_file(URL)
