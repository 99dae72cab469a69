"""A function is deployed to Modal with Modal's own client."""

from __future__ import annotations

from modal_cloud import Cloud

from bentofn.adapters.modal.adapter import ModalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec


def silent(_: str) -> None:
    pass


def spec(bento: str = "greeter:1", **settings: object) -> FunctionSpec:
    return FunctionSpec("greeter", bento, FunctionSettings(**settings))  # type: ignore[arg-type]


def test_a_function_becomes_an_app(adapter: ModalAdapter, cloud: Cloud) -> None:
    deployed = adapter.apply(spec(), silent)
    print(deployed, cloud.names())
    assert deployed.version == 1
