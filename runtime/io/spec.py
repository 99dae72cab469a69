"""Everything that is known of an endpoint before there is an instance."""

from __future__ import annotations

from dataclasses import dataclass

from bentofn.runtime.api import APIMethod
from bentofn.runtime.errors import UserError
from bentofn.runtime.io.inputs import Input, build_input
from bentofn.runtime.io.outputs import Output, build_output
from bentofn.runtime.io.signature import Signature, read_signature


@dataclass(frozen=True)
class EndpointSpec:
    """An endpoint, what it takes and what it returns."""

    method: APIMethod
    signature: Signature
    input: Input
    output: Output


def build_spec(method: APIMethod) -> EndpointSpec:
    """Read an endpoint's annotations.

    Raises:
        UserError: One of them cannot be served, or an example cannot be sent.
    """
    signature = read_signature(method)
    spec = EndpointSpec(
        method, signature, build_input(method, signature), build_output(method, signature)
    )
    for example in method.examples:
        try:
            spec.input.example_body(example)
        except (UserError, ValueError) as error:
            raise UserError(
                f"{method.location}: the example {dict(example)!r} cannot be sent: {error}."
            ) from error
    return spec
