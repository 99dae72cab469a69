"""What a body calls a parameter: by its name, or as its pydantic ``Field`` says.

Source: https://docs.pydantic.dev/latest/concepts/alias/
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import AliasChoices, AliasPath, Field
from pydantic.fields import FieldInfo

from bentofn.runtime.io.signature import Parameter

Alias = str | AliasPath | AliasChoices | None


def field_of(parameter: Parameter) -> Any:
    """The field of a model that takes a parameter.

    The model's own attribute names (copy, json, schema...) must stay free for parameters, so that
    each field has a neutral name, and its parameter's as an alias where it declares none.
    """
    default = parameter.default
    name = parameter.name
    own = {"alias": name, "validation_alias": name}
    named: dict[str, Any] = {} if _alias(parameter) is not None else own
    if isinstance(default, FieldInfo):
        return FieldInfo.merge_field_infos(default, **named)
    if default is inspect.Parameter.empty:
        return Field(**named)
    return Field(default=default, **named)


def keys_of_parameter(parameter: Parameter) -> tuple[str, ...]:
    """Where a body may hold a parameter."""
    return _keys(parameter.name, _alias(parameter))


def keys_and_types(
    fields: Mapping[str, FieldInfo],
) -> tuple[dict[str, tuple[str, ...]], dict[str, Any]]:
    """Where a body may hold the fields of a model, and the type of what stands at each key."""
    keys = {name: _keys(name, each.validation_alias) for name, each in fields.items()}
    return keys, types_by_key(keys, {name: each.annotation for name, each in fields.items()})


def types_by_key(keys: Mapping[str, tuple[str, ...]], types: Mapping[str, Any]) -> dict[str, Any]:
    """The type of what stands at each key of a body.

    Args:
        keys: Of each field.
        types: Of each field.
    """
    return {key: types[name] for name, found in keys.items() for key in found}


def _alias(parameter: Parameter) -> Alias:
    metadata = getattr(parameter.annotation, "__metadata__", ())
    said = [each for each in (parameter.default, *metadata) if isinstance(each, FieldInfo)]
    return next((each.validation_alias for each in said if each.validation_alias), None)


def _keys(name: str, alias: Alias) -> tuple[str, ...]:
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
    keys = [each.path[0] if isinstance(each, AliasPath) else each for each in choices]
    return tuple(dict.fromkeys(map(str, keys)))
