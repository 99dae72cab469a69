"""Weights from S3, by the stand-in that moto is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import safetensors.torch
import torch
from moto import mock_aws

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.loading import load_file, load_files
from bentofn.runtime.weights.sources.s3 import S3Source

URL = "s3://weights/models/x.safetensors"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="weights")
        put(client, given())
        yield client


def given() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"a": torch.randn(3 << 20), "b": torch.arange(10), "c": torch.randn(40, 30)}


def put(client: Any, tensors: dict[str, torch.Tensor]) -> None:
    body = safetensors.torch.save(tensors)
    client.put_object(Bucket="weights", Key="models/x.safetensors", Body=body)


def test_all_of_an_object(s3: Any) -> None:
    found = load_file(URL)
    assert all(torch.equal(found[name], tensor) for name, tensor in given().items())


def test_slices_of_it(s3: Any) -> None:
    found = load_files([URL], slices={"c": (slice(None), slice(3, 9))})
    assert torch.equal(found["c"], given()["c"][:, 3:9])


def test_an_object_that_is_replaced_meanwhile(s3: Any) -> None:
    source = S3Source(URL)
    put(s3, {"other": torch.ones(5)})
    with pytest.raises(UserError, match=r"s3://weights/.* was changed while it was read"):
        source.read(0, memoryview(bytearray(100)))


@pytest.mark.parametrize("url", ["s3://weights/none.safetensors", "s3://no-such-bucket/x"])
def test_what_is_not_there(s3: Any, url: str) -> None:
    with pytest.raises(UserError, match=f"Cannot read {url}"):
        load_file(url)
