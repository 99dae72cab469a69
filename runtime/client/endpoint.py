"""What a client knows of an endpoint: what ``/schema.json`` says, or the service's own class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bentofn.runtime.errors import BentoMLException

if TYPE_CHECKING:
    from bentofn.runtime.service import Service


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of a service.

    Args:
        name: What the client's method is called.
        route: Its path, with the service's prefix.
        input: JSON schema of the request body, with BentoML's types ``tensor``, ``dataframe`` and
            ``file``.
        output: JSON schema of the response body.
        doc: Its documentation.
        is_stream: Whether it answers in chunks.
        is_task: Whether it can be submitted.
        takes: Media types in which arrays may come as they are.
        gives: Media types in which the answer may be such an array.
        typed: Makes the declared type of a decoded JSON answer; None where only the schema is
            known.
    """

    name: str
    route: str
    input: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    doc: str = ""
    is_stream: bool = False
    is_task: bool = False
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    typed: Callable[[Any], Any] | None = None

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """The schema of each parameter, in their order."""
        found: Mapping[str, Mapping[str, Any]] = self.input.get("properties", {})
        return found

    @property
    def is_root(self) -> bool:
        """Whether the request body is the value of the only parameter."""
        return bool(self.input.get("root_input"))

    @property
    def returns_file(self) -> bool:
        """Whether the answer is a file, images aside."""
        return self.output.get("type") == "file" and not self.output.get("pil")


def read_schema(document: Any) -> dict[str, Endpoint]:
    """The endpoints of a ``/schema.json``, by name.

    Raises:
        BentoMLException: It is none.
    """
    try:
        return {route["name"]: _read_route(route) for route in document["routes"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise BentoMLException(
            f"The service's /schema.json is not BentoML's: {type(error).__name__} {error}; check "
            "the URL."
        ) from error


def _read_route(route: Mapping[str, Any]) -> Endpoint:
    output, arrays = route["output"], route.get("binary") or {}
    return Endpoint(
        name=route["name"],
        route=route["route"],
        input=route["input"],
        output=output,
        doc=route.get("doc") or "",
        is_stream=bool(output.get("is_stream")),
        is_task=bool(route.get("is_task")),
        takes=tuple(arrays.get("input", ())),
        gives=tuple(arrays.get("output", ())),
    )


def endpoints_of(service: Service[Any]) -> dict[str, Endpoint]:
    """The endpoints of a service whose class is at hand; answers get their declared types.

    Raises:
        UserError: An endpoint's annotation cannot be served.
    """
    from pydantic import TypeAdapter

    from bentofn.runtime.http.openapi import schema_document
    from bentofn.runtime.io.kinds import servable
    from bentofn.runtime.io.spec import build_spec

    specs = [build_spec(method) for method in service.apis.values()]
    found = read_schema(schema_document(service, specs))
    for spec in specs:
        declared = spec.method.output_spec or spec.signature.result
        adapter: TypeAdapter[Any] = TypeAdapter(servable(declared))
        name = spec.method.name
        found[name] = replace(found[name], typed=adapter.validate_python)
    return found
