"""A client that knows a function's endpoints without asking for them."""

from __future__ import annotations

from typing import Any

from bentofn.runtime.client import SyncHTTPClient
from bentofn.runtime.client.endpoint import Endpoint
from bentofn.runtime.manifest import ServiceContract


class FunctionClient(SyncHTTPClient):
    """Sends nothing but the calls, so that the first of them is the function's first request.

    Args:
        url: The function's.
        contract: What the bento says of its endpoints.
        options: As for :class:`bentofn.SyncHTTPClient`.
    """

    def __init__(self, url: str, contract: ServiceContract, **options: Any) -> None:
        self._contract = contract
        super().__init__(url, **options)

    def _setup(self) -> None:
        if not self._knows_service:
            self.endpoints = {each.name: each for each in _endpoints(self._contract)}
        self._make_methods()


def _endpoints(contract: ServiceContract) -> list[Endpoint]:
    return [
        Endpoint(
            name=api.name,
            route=f"{contract.path_prefix}{api.route}",
            input=api.input_schema,
            output=api.output_schema,
            doc=api.doc,
            is_stream=api.is_stream,
            is_task=api.is_task,
        )
        for api in contract.apis
    ]
