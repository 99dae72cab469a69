"""An endpoint of an instance, as ``self.predict`` is: called directly, as any method."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True)
class FieldDefault:
    """A parameter whose default is pydantic's ``Field(...)``.

    Args:
        place: Where it stands, from 0.
        name: Its name.
        field: The field.
    """

    place: int
    name: str
    field: Any


class BoundMethod(partial[Any]):
    """An endpoint of an instance.

    Its ``func`` is the function, and :attr:`local` calls it in this process, as in BentoML.
    """

    fields: tuple[FieldDefault, ...] = ()

    @property
    def local(self) -> BoundMethod:
        """Itself: a service's call of its own method never leaves the process."""
        return self

    @property
    def __name__(self) -> str:
        return str(self.func.__name__)

    @property
    def __self__(self) -> Any:
        return self.args[0]

    @property
    def __func__(self) -> Callable[..., Any]:
        return self.func


class _Defaulting(BoundMethod):
    """One that fills in its fields' defaults.

    A request gets them from pydantic. Code that calls the method itself, as in
    ``self.summarize(text)``, would get a field's declaration in place of a value.
    """

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call it.

        Raises:
            TypeError: A field that is required is not given.
        """
        given = len(self.args) + len(args)
        for each in self.fields:
            if each.place >= given and each.name not in kwargs:
                if each.field.is_required():
                    where = self.func.__qualname__
                    raise TypeError(f"{where}() missing a required argument: {each.name!r}")
                kwargs[each.name] = each.field.get_default(call_default_factory=True)
        return super().__call__(*args, **kwargs)


def bind(
    function: Callable[..., Any], instance: object, fields: tuple[FieldDefault, ...]
) -> BoundMethod:
    """An endpoint's function as a method of an instance.

    Args:
        function: The function.
        instance: The instance.
        fields: Of :func:`fields_of`.
    """
    if not fields:
        return BoundMethod(function, instance)
    bound = _Defaulting(function, instance)
    bound.fields = fields
    return bound


def fields_of(function: Callable[..., Any]) -> tuple[FieldDefault, ...]:
    """The parameters of a function whose default is a field."""
    return tuple(
        FieldDefault(place, each.name, each.default)
        for place, each in enumerate(inspect.signature(function).parameters.values())
        if type(each.default).__module__ == "pydantic.fields"  # which is not imported for this
    )
