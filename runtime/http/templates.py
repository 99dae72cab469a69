"""Routes with parameters, such as ``/models/{name}``."""

from __future__ import annotations

from collections.abc import Mapping
from re import Pattern
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class PathTemplates(Generic[T]):
    """Finds what stands at the first template that a path matches.

    Templates are Starlette's, which BentoML's routes are:
    https://www.starlette.io/routing/#path-parameters

    Args:
        values: Template to what stands there.

    Raises:
        ValueError: A template names a parameter twice.
        AssertionError: A template names a converter that Starlette does not have.
    """

    def __init__(self, values: Mapping[str, T]) -> None:
        self._compiled: list[tuple[Pattern[str], Mapping[str, Any], T]] = []
        if not values:
            return
        from starlette.routing import compile_path

        for template, value in values.items():
            pattern, _, converters = compile_path(template)
            self._compiled.append((pattern, converters, value))

    def find(self, path: str) -> tuple[T, dict[str, Any]] | None:
        """What stands at a path, and the path's parameters."""
        for pattern, converters, value in self._compiled:
            match = pattern.match(path)
            if match is not None:
                found = match.groupdict().items()
                return value, {name: converters[name].convert(text) for name, text in found}
        return None
