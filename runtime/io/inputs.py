"""What an endpoint takes: built once from its signature, then used for every request."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from types import GenericAlias
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, TypeAdapter, create_model
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from bentofn.runtime.api import APIMethod
from bentofn.runtime.errors import BadInput, UserError
from bentofn.runtime.io import binary, fast_arrays, ndarray
from bentofn.runtime.io.descriptor import descriptor_of
from bentofn.runtime.io.forms import form_value
from bentofn.runtime.io.kinds import bare, is_file, servable, takes_files
from bentofn.runtime.io.names import field_of, keys_and_types, keys_of_parameter, types_by_key
from bentofn.runtime.io.signature import UNBUILDABLE, Parameter, Signature, unservable

if TYPE_CHECKING:
    from starlette.datastructures import FormData

    from bentofn.runtime.context import Context
    from bentofn.runtime.io.validator import Validator

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments of a call."""

REST = "kwargs"
"""What BentoML calls the body's field that holds the arguments of a ``**`` parameter."""

_ROOT = "root"

MORE = "args"
"""What it calls the one of a ``*`` parameter."""


@dataclass(frozen=True)
class Input:
    """How to turn a request into a call's arguments. Its methods raise pydantic's ValidationError.

    Args:
        schema: JSON schema of the request body.
        media_type: What the request body is, for the documentation.
        takes_files: Whether some of the values come as uploaded files.
        is_raw: Whether the body is the value itself: text, bytes or a file.
    """

    schema: dict[str, Any]
    media_type: str
    takes_files: bool
    is_raw: bool
    _validator: Validator
    _fields: tuple[tuple[str, str], ...]
    _rest: str | None
    _root: Any
    _types: Mapping[str, Any]
    _aliases: Mapping[str, str]
    """Parameters that have another name in a body."""

    binary: tuple[str, ...] = ()
    """Media types in which arrays may come as they are."""

    _by_place: tuple[str, ...] = ()
    """Fields of the parameters that stand before a ``*`` parameter, and its own last."""

    _fast: fast_arrays.Read | None = None
    """Reads most bodies of an endpoint that takes one array."""

    _is_settled: bool = False
    """Whether what that reads needs no further look: its parameter asks for no shape or type."""

    def from_body(self, body: bytes, content_type: str, context: Context | None) -> Arguments:
        """Read a request that is not a form."""
        if self._root is None:
            array = None if self._fast is None else self._fast(body)
            if array is not None:
                if self._is_settled:
                    return (), {self._fields[0][0]: array}
                values = {next(iter(self._types)): array}
                return self._call(self._validator.validate_python(values, context=context))
            return self._call(self._validator.validate_json(body or b"{}", context=context))
        if self.is_raw:
            value = _upload(body, content_type) if self.takes_files else body
            return (self._validator.validate_python(value, context=context),), {}
        return (self._validator.validate_json(body or b"{}", context=context),), {}

    def from_form(self, form: FormData, context: Context | None) -> Arguments:
        """Read a multipart or urlencoded form."""
        if self.is_raw:
            value = next(iter(form.values()), None)
            return (self._validator.validate_python(value, context=context),), {}
        keys = [key for key in form if self._root is not None or key in self._types]
        data = {key: form_value(self._types.get(key), form.getlist(key)) for key in keys}
        value = self._validator.validate_python(data, context=context)
        return self._call(value) if self._root is None else ((value,), {})

    def from_values(self, values: Mapping[str, Any], context: Context | None) -> Arguments:
        """Check the arguments of a call from another service of the bento."""
        if self._root is None:
            named = {self._aliases.get(name, name): value for name, value in values.items()}
            fields = {name: value for name, value in named.items() if name in self._types}
            if self._rest is not None:
                fields[REST] = {name: v for name, v in named.items() if name not in self._types}
            return self._call(self._validator.validate_python(fields, context=context))
        value = next(iter(values.values()), None)
        return (self._validator.validate_python(value, context=context),), {}

    def from_arrays(self, body: bytearray, media_type: str, context: Context | None) -> Arguments:
        """Read a body that holds arrays as they are; ``media_type`` is one of ``binary``.

        Raises:
            BadInput: It is not what its media type says.
        """
        values = binary.decode(body, media_type, tuple(self._types) or (_ROOT,))
        if self._root is None:
            return self._call(self._validator.validate_python(values, context=context))
        if media_type == binary.SAFETENSORS and len(values) != 1:
            raise BadInput("The body must hold one array.")
        (value,) = values.values()
        return (self._validator.validate_python(value, context=context),), {}

    def example_body(self, example: Mapping[str, Any]) -> tuple[bytes, str]:
        """The request body of a declared example, and its content type.

        Raises:
            UserError: The example does not have the form that the endpoint takes.
        """
        if self._root is None:
            return to_json(example), "application/json"
        if set(example) != {"root"}:
            raise UserError('it takes the whole body, so that an example is {"root": value}')
        if self.takes_files:
            raise UserError("it takes a file, which an example cannot hold")
        value = example["root"]
        if self.is_raw and isinstance(value, str):
            return value.encode(), self.media_type
        return to_json(value), "application/json"

    def _call(self, model: Any) -> Arguments:
        values = model.__dict__
        named = {name: values[field] for name, field in self._fields}
        if self._rest is not None:
            named.update(values[self._rest])
        if not self._by_place:
            return (), named
        *before, more = self._by_place
        return (*(values[field] for field in before), *values[more]), named


def build_input(method: APIMethod, signature: Signature) -> Input:
    """Build an endpoint's input.

    Raises:
        UserError: An annotation cannot be served.
    """
    if method.input_spec is not None:
        return _from_spec(method, signature)
    try:
        return _from_signature(signature)
    except UNBUILDABLE:
        for parameter in (*signature.parameters, *filter(None, (signature.more,))):
            _check(method, parameter)
        raise


def _from_signature(signature: Signature) -> Input:
    if signature.is_root:
        return _root_input(signature.parameters[0])
    fields: dict[str, Any] = {
        f"field_{index}": (servable(parameter.annotation), field_of(parameter))
        for index, parameter in enumerate(signature.parameters)
    }
    named = [(each.name, name) for each, name in zip(signature.parameters, fields, strict=True)]
    keys = {each.name: keys_of_parameter(each) for each in signature.parameters}
    types = types_by_key(keys, {each.name: each.annotation for each in signature.parameters})
    by_place: tuple[str, ...] = ()
    if signature.more is not None:
        given = signature.places
        by_place = (*(field for _, field in named[:given]), MORE)
        named = named[given:]
        types[MORE] = GenericAlias(list, signature.more.annotation)
        fields[MORE] = (servable(types[MORE]), Field(default=[]))
    if signature.rest is not None:
        fields[REST] = (dict[str, Any], Field())
        types[REST] = dict
    model = create_model("Input", **fields)
    rest = None if signature.rest is None else REST
    is_alone = len(types) == 1 and rest is None and not by_place
    fast = fast_arrays.reader(*next(iter(types.items()))) if is_alone else None
    is_settled = fast is not None and ndarray.is_bare(signature.parameters[0].annotation)
    return _input(model, tuple(named), types, keys, rest, by_place, fast, is_settled=is_settled)


def _from_spec(method: APIMethod, signature: Signature) -> Input:
    spec = method.input_spec
    if not (isinstance(spec, type) and issubclass(spec, BaseModel)):
        raise UserError(
            f"{method.location}: input_spec must be a pydantic model whose fields are the "
            f"parameters, not {spec!r}."
        )
    spec = descriptor_of(spec)
    known = {parameter.name for parameter in signature.parameters}
    given = set(spec.model_fields)
    if given != known if signature.rest is None else not given >= known:
        raise UserError(
            f"{method.location}: input_spec {spec.__name__} has the fields "
            f"{sorted(spec.model_fields)} but the method takes {sorted(known)}."
        )
    if signature.more is not None:
        raise UserError(f"{method.location}: a method with input_spec takes no *parameters.")
    names = tuple((name, name) for name in spec.model_fields)
    keys, types = keys_and_types(spec.model_fields)
    return _input(spec, names, types, keys)


def _input(
    model: type[BaseModel],
    names: tuple[tuple[str, str], ...],
    types: Mapping[str, Any],
    keys: Mapping[str, tuple[str, ...]],
    rest: str | None = None,
    by_place: tuple[str, ...] = (),
    fast: fast_arrays.Read | None = None,
    *,
    is_settled: bool = False,
) -> Input:
    with_files = any(takes_files(annotation) for annotation in types.values())
    return Input(
        schema=model.model_json_schema(),
        media_type="multipart/form-data" if with_files else "application/json",
        takes_files=with_files,
        is_raw=False,
        _validator=model.__pydantic_validator__,
        _fields=names,
        _rest=rest,
        _root=None,
        _types=types,
        _aliases={name: found[0] for name, found in keys.items() if found != (name,)},
        binary=binary.taken_by(types),
        _by_place=by_place,
        _fast=fast,
        _is_settled=is_settled,
    )


def _root_input(parameter: Parameter) -> Input:
    root = parameter.annotation
    fields: Mapping[str, FieldInfo] = getattr(root, "model_fields", {})
    _, types = keys_and_types(fields)
    is_body = any(servable(annotation) != annotation for annotation in types.values())
    served = descriptor_of(root) if is_body else servable(root)
    adapter: TypeAdapter[Any] = TypeAdapter(served)
    with_files = any(map(takes_files, types.values()))
    media_type = "multipart/form-data" if with_files else "application/json"
    if bare(root) is str:
        media_type = "text/plain"
    elif bare(root) is bytes:
        media_type = "application/octet-stream"
    elif is_file(root):
        media_type = "*/*"
    return Input(
        schema={"title": "Input", "root_input": True, **adapter.json_schema()},
        media_type=media_type,
        takes_files=with_files or is_file(root),
        is_raw=not types and media_type != "application/json",
        _validator=adapter.validator,
        _fields=(),
        _rest=None,
        _root=root,
        _types=types,
        _aliases={},
        binary=binary.taken_by({_ROOT: root}),
    )


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
