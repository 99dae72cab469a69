"""What an endpoint takes: built once from its signature, then used for every request."""

from __future__ import annotations

import inspect
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, TypeAdapter, create_model
from pydantic.fields import FieldInfo
from pydantic_core import SchemaValidator, from_json, to_json

from bentofn.runtime.api import APIMethod
from bentofn.runtime.errors import UserError
from bentofn.runtime.io.kinds import is_file, is_list, plain, servable, takes_files
from bentofn.runtime.io.signature import UNBUILDABLE, Parameter, Signature, unservable

if TYPE_CHECKING:
    from starlette.datastructures import FormData

    from bentofn.runtime.context import Context

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments of a call."""


@dataclass(frozen=True)
class Input:
    """How to turn a request into a call's arguments. Its methods raise pydantic's ValidationError.

    Args:
        schema: JSON schema of the request body.
        media_type: What the request body is, for the documentation.
        takes_files: Whether some of the values come as uploaded files.
    """

    schema: dict[str, Any]
    media_type: str
    takes_files: bool
    _validator: SchemaValidator
    _fields: tuple[tuple[str, str], ...]
    _root: Any
    _strings: frozenset[str]
    _lists: frozenset[str]

    def from_body(self, body: bytes, content_type: str, context: Context | None) -> Arguments:
        """Read a request that is not a form."""
        if self._root is None:
            return self._call(self._validator.validate_json(body or b"{}", context=context))
        if self._root is str:
            return (self._validator.validate_python(body.decode(errors="replace")),), {}
        if self._root is bytes:
            return (self._validator.validate_python(body),), {}
        if is_file(self._root):
            upload = _upload(body, content_type)
            return (self._validator.validate_python(upload, context=context),), {}
        return (self._validator.validate_json(body, context=context),), {}

    def from_form(self, form: FormData, context: Context | None) -> Arguments:
        """Read a multipart or urlencoded form."""
        if self._root is not None:
            values = [value for _, value in form.multi_items()]
            value = values[0] if values else None
            return (self._validator.validate_python(value, context=context),), {}
        known = {key for key, _ in self._fields}
        data = {key: self._form_value(key, form.getlist(key)) for key in form if key in known}
        return self._call(self._validator.validate_python(data, context=context))

    def example_body(self, example: Mapping[str, Any]) -> tuple[bytes, str]:
        """The request body of a declared example, and its content type.

        Raises:
            UserError: The example does not have the form that the endpoint takes.
        """
        if self._root is None:
            return to_json(example), "application/json"
        if set(example) != {"root"}:
            raise UserError('it takes the whole body, so that an example is {"root": value}')
        if is_file(self._root):
            raise UserError("it takes a file, which an example cannot hold")
        value = example["root"]
        if self._root in (str, bytes) and isinstance(value, str):
            return value.encode(), self.media_type
        return to_json(value), "application/json"

    def _call(self, model: Any) -> Arguments:
        values = model.__dict__
        return (), {name: values[field] for name, field in self._fields}

    def _form_value(self, key: str, values: Sequence[Any]) -> Any:
        decoded = [self._decode(key, value) for value in values]
        if key not in self._lists:
            return decoded[-1]
        return decoded[0] if len(decoded) == 1 and isinstance(decoded[0], list) else decoded

    def _decode(self, key: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            data = from_json(value)
        except ValueError:
            return value
        return value if key in self._strings and not isinstance(data, str) else data


def build_input(method: APIMethod, signature: Signature) -> Input:
    """Build an endpoint's input.

    Raises:
        UserError: An annotation cannot be served.
    """
    if method.input_spec is not None:
        return _from_spec(method, signature)
    for parameter in signature.parameters:
        _check(method, parameter)
    if signature.is_root:
        return _root_input(signature.parameters[0])
    fields = {
        f"field_{index}": (servable(parameter.annotation), _field(parameter))
        for index, parameter in enumerate(signature.parameters)
    }
    names = tuple(
        (parameter.name, f"field_{index}") for index, parameter in enumerate(signature.parameters)
    )
    model = create_model("Input", **fields)  # type: ignore[call-overload]
    types = {parameter.name: parameter.annotation for parameter in signature.parameters}
    return _input(model, names, types)


def _from_spec(method: APIMethod, signature: Signature) -> Input:
    spec = method.input_spec
    if not (isinstance(spec, type) and issubclass(spec, BaseModel)):
        raise UserError(
            f"{method.location}: input_spec must be a pydantic model whose fields are the "
            f"parameters, not {spec!r}."
        )
    known = {parameter.name for parameter in signature.parameters}
    if set(spec.model_fields) != known:
        raise UserError(
            f"{method.location}: input_spec {spec.__name__} has the fields "
            f"{sorted(spec.model_fields)} but the method takes {sorted(known)}."
        )
    names = tuple((name, name) for name in spec.model_fields)
    types = {name: field.annotation for name, field in spec.model_fields.items()}
    return _input(spec, names, types)


def _input(
    model: type[BaseModel], names: tuple[tuple[str, str], ...], types: Mapping[str, Any]
) -> Input:
    with_files = any(takes_files(annotation) for annotation in types.values())
    return Input(
        schema=model.model_json_schema(),
        media_type="multipart/form-data" if with_files else "application/json",
        takes_files=with_files,
        _validator=model.__pydantic_validator__,  # type: ignore[arg-type]
        _fields=names,
        _root=None,
        _strings=frozenset(name for name, each in types.items() if plain(each) is str),
        _lists=frozenset(name for name, each in types.items() if is_list(each)),
    )


def _root_input(parameter: Parameter) -> Input:
    adapter: TypeAdapter[Any] = TypeAdapter(servable(parameter.annotation))
    root = plain(parameter.annotation)
    media_type = "application/json"
    if root in (str, bytes):
        media_type = "text/plain" if root is str else "application/octet-stream"
    elif is_file(root):
        media_type = "*/*"
    return Input(
        schema={"title": "Input", "root_input": True, **adapter.json_schema()},
        media_type=media_type,
        takes_files=is_file(root),
        _validator=adapter.validator,  # type: ignore[arg-type]
        _fields=(),
        _root=root,
        _strings=frozenset(),
        _lists=frozenset(),
    )


def _field(parameter: Parameter) -> Any:
    # The model's own attribute names (copy, json, schema...) must stay free for parameters,
    # so that each field has a neutral name and goes by its parameter's on the wire.
    if isinstance(parameter.default, FieldInfo):
        return FieldInfo.merge_field_infos(
            parameter.default, alias=parameter.name, validation_alias=parameter.name
        )
    if parameter.default is inspect.Parameter.empty:
        return Field(alias=parameter.name)
    return Field(default=parameter.default, alias=parameter.name)


def _check(method: APIMethod, parameter: Parameter) -> None:
    """Build a parameter's type alone, so that the message can name the parameter."""
    try:
        TypeAdapter(servable(parameter.annotation)).json_schema()
    except UNBUILDABLE as error:
        raise unservable(method, f"parameter {parameter.name!r}", parameter.annotation) from error


def _upload(body: bytes, content_type: str) -> Any:
    from starlette.datastructures import Headers, UploadFile

    return UploadFile(
        io.BytesIO(body), size=len(body), headers=Headers({"content-type": content_type})
    )
