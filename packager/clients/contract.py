"""A service as its bento's contract describes it."""

from __future__ import annotations

from bentofn.packager.clients.interface import Described, Operation
from bentofn.runtime.manifest import ServiceContract


def read_contract(contract: ServiceContract) -> Described:
    """The endpoints of a bento's entry."""
    return Described(
        contract.name,
        tuple(
            Operation(
                name=api.name,
                route=contract.path_prefix + api.route,
                doc=api.doc,
                input=api.input_schema,
                output=api.output_schema,
                is_root=bool(api.input_schema.get("root_input")),
                is_stream=api.is_stream,
                is_task=api.is_task,
            )
            for api in contract.apis
        ),
    )
