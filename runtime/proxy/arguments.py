"""The arguments of a call between two services, in one process as between several."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import ValidationError

from bentofn.runtime.api import APIMethod
from bentofn.runtime.errors import InvalidArgument
from bentofn.runtime.http.errors import faults
from bentofn.runtime.io.inputs import MORE, Arguments
from bentofn.runtime.io.signature import read_signature

if TYPE_CHECKING:
    from bentofn.runtime.context import Context
    from bentofn.runtime.io.spec import EndpointSpec

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Parameters:
    """What an endpoint takes, as its callers see it.

    Args:
        location: ``Class.method``, for messages.
        places: Names of the parameters that may be given by place.
        takes_more: Whether it has a ``*`` parameter.
        context: Name of the parameter that takes the Context, if any.
        is_stream: Whether the result is a stream.
    """

    location: str
    places: tuple[str, ...]
    takes_more: bool
    context: str | None
    is_stream: bool

    @classmethod
    def of(cls, method: APIMethod) -> Parameters:
        """Read an endpoint's declaration.

        Raises:
            UserError: It cannot be served.
        """
        signature = read_signature(method)
        declared = list(inspect.signature(method.func).parameters.values())[1:]
        by_place = [each.name for each in declared if each.kind in _BY_PLACE]
        return cls(
            location=method.location,
            places=tuple(name for name in by_place if name != signature.context),
            takes_more=signature.more is not None,
            context=signature.context,
            is_stream=signature.is_stream,
        )

    def by_name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """A call's arguments by name, without the context, which each service has of its own.

        Raises:
            TypeError: There are more than the method takes, or one is given twice.
        """
        more = list(args[len(self.places) :])
        if more and not self.takes_more:
            raise TypeError(
                f"{self.location}() takes {len(self.places)} arguments but {len(args)} were given"
            )
        given = dict(zip(self.places, args, strict=False))
        twice = [name for name in kwargs if name in given]
        if twice:
            raise TypeError(f"{self.location}() got multiple values for argument {twice[0]!r}")
        named = {name: value for name, value in kwargs.items() if name != self.context}
        return {**given, **named, MORE: more} if more else {**given, **named}


def checked(spec: EndpointSpec, values: Mapping[str, Any], context: Context) -> Arguments:
    """The arguments as the endpoint declares them: checked, and turned into its types.

    Args:
        spec: What is called.
        values: The arguments by name.
        context: The request.

    Raises:
        InvalidArgument: They are not what it takes.
    """
    try:
        return spec.input.from_values(values, context)
    except ValidationError as error:
        raise InvalidArgument(f"{spec.method.location}: {faults(error)}") from None
