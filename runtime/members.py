"""The members that a class declares, read without running its descriptors."""

from __future__ import annotations

from typing import Any


def declared_members(cls: type) -> dict[str, Any]:
    """A class's members as written, inherited ones first; static and class methods unwrapped.

    Descriptors are not run, since reading a model declared as a class attribute resolves it.
    """
    members: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        members.update(vars(base))
    return {name: underlying(value) for name, value in members.items()}


def underlying(value: Any) -> Any:
    """The function of a static or class method, or the value itself."""
    while isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    return value
