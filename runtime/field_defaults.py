"""Parameters whose default is pydantic's ``Field(...)``: what a direct call of the method gets.

A request gets the field's default from pydantic. Code that calls the method itself, as in
``self.summarize(text)``, would get the field's declaration in place of a value.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any


def keep_signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """Put the values of a function's ``Field`` defaults in their place, for direct calls.

    Args:
        function: A method; of one that a decorator wraps, the wrapped one is changed.

    Returns:
        The signature as it was declared, which the endpoint is made of; None if no default is a
        field, where it can be read later.
    """
    pydantic = sys.modules.get("pydantic.fields")
    if pydantic is None:
        return None
    field_type = pydantic.FieldInfo
    inner: Any = inspect.unwrap(function)
    defaults = getattr(inner, "__defaults__", None) or ()
    named = getattr(inner, "__kwdefaults__", None) or {}
    if not any(isinstance(each, field_type) for each in (*defaults, *named.values())):
        return None
    declared = inspect.signature(function)
    inner.__defaults__ = tuple(map(_value, defaults))
    inner.__kwdefaults__ = {name: _value(each) for name, each in named.items()}
    return declared


def _value(default: Any) -> Any:
    """A field's default; one that is required stays as it is, since what follows it has one."""
    is_field = type(default).__module__ == "pydantic.fields"
    if not is_field or default.is_required():
        return default
    return default.get_default(call_default_factory=True)
