"""An endpoint's parameters and result, as its function declares them."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from bentofn.runtime.api import APIMethod
from bentofn.runtime.context import Context
from bentofn.runtime.errors import UserError
from bentofn.runtime.io.kinds import ACCEPTED, plain
from bentofn.runtime.validators import read_extras

UNBUILDABLE = (PydanticUserError, SchemaError, TypeError, ValueError, NotImplementedError)
"""What pydantic raises for a type that it cannot handle."""

_CONTEXT_NAMES = ("ctx", "context")
_STREAMS = (Generator, AsyncGenerator, Iterator, AsyncIterator, AsyncIterable)


@dataclass(frozen=True)
class Parameter:
    """A parameter that comes from the request.

    Args:
        name: Its name.
        annotation: Its type; ``Any`` when it has none.
        default: Its default, or :data:`inspect.Parameter.empty`.
    """

    name: str
    annotation: Any
    default: Any


@dataclass(frozen=True)
class Signature:
    """What an endpoint takes and returns.

    Args:
        parameters: The parameters that come from the request.
        is_root: Whether the one parameter is the whole body.
        context: Name of the parameter that takes the Context, if any.
        rest: Name of the ``**`` parameter, if any; it is none of ``parameters``.
        result: Type of the result, or of one chunk when it is a stream.
        is_stream: Whether the result is a stream of chunks.
        media_type: What the result is, where its ``ContentType`` says so.
        more: The ``*`` parameter, if any, with the type of one value; it is none of
            ``parameters``.
        places: How many of the parameters stand before it.
    """

    parameters: tuple[Parameter, ...]
    is_root: bool
    context: str | None
    rest: str | None
    result: Any
    is_stream: bool
    media_type: str | None = None
    more: Parameter | None = None
    places: int = 0


def read_signature(method: APIMethod) -> Signature:
    """Read an endpoint's signature.

    Raises:
        UserError: An annotation cannot be resolved, or the form of the signature is not supported.
    """
    hints = _hints(method)
    signature = inspect.signature(method.func)
    declared = list(signature.parameters.values())[1:]
    context = _context(method, declared, hints)
    taken = [each for each in declared if each.name != context]
    rest = next((each.name for each in taken if each.kind is each.VAR_KEYWORD), None)
    positional = [each.name for each in taken if each.kind is each.POSITIONAL_ONLY]
    by_place = [each.name for each in declared if each.kind is each.POSITIONAL_OR_KEYWORD]
    more = next((each.name for each in taken if each.kind is each.VAR_POSITIONAL), None)
    if positional and len(taken) > 1:
        raise UserError(
            f"{method.location}: parameter {positional[0]!r} is positional-only, which makes it "
            "the whole request body; it must then be the only parameter."
        )
    if more is not None and context in by_place:
        raise UserError(f"{method.location}: put the parameter {context!r} after *{more}.")
    media_type, declared_result = _content_type(hints.get("return", Any))
    is_stream, result = _result(method, declared_result)
    if method.batchable and (len(taken) != 1 or rest or more or is_stream):
        reason = "a stream cannot be batched" if is_stream else f"it has {len(taken)} parameters"
        raise UserError(
            f"{method.location}: a batchable endpoint takes exactly one parameter besides the "
            f"context and returns one result for each item: {reason}."
        )
    return Signature(
        parameters=tuple(
            Parameter(each.name, hints.get(each.name, Any), each.default)
            for each in taken
            if each.name not in (rest, more)
        ),
        is_root=bool(positional),
        context=context,
        rest=rest,
        result=result,
        is_stream=is_stream,
        media_type=media_type,
        more=None if more is None else Parameter(more, hints.get(more, Any), ()),
        places=len(by_place),
    )


def unservable(method: APIMethod, what: str, annotation: Any) -> UserError:
    """The error for an annotation that cannot be served."""
    shown = inspect.formatannotation(annotation)
    return UserError(
        f"{method.location}: {what} is annotated {shown}, which cannot be served; "
        f"use one of: {ACCEPTED}."
    )


def _hints(method: APIMethod) -> dict[str, Any]:
    try:
        return get_type_hints(method.func, include_extras=True)
    except Exception as error:
        annotations = ", ".join(
            f"{name}: {value}" for name, value in method.func.__annotations__.items()
        )
        raise UserError(
            f"{method.location}: its annotations ({annotations}) cannot be resolved: {error}; "
            "import the names that they use at the top of the module."
        ) from error


def _context(
    method: APIMethod, declared: list[inspect.Parameter], hints: dict[str, Any]
) -> str | None:
    for each in declared:
        hint = plain(hints.get(each.name))
        if each.name in _CONTEXT_NAMES and hint in (None, Context):
            if each.kind is each.POSITIONAL_ONLY:
                raise UserError(
                    f"{method.location}: put the parameter {each.name!r} after the slash."
                )
            return each.name
        if hint is Context:
            raise UserError(
                f"{method.location}: name the Context parameter 'ctx' or 'context', "
                f"not {each.name!r}."
            )
    return None


def _content_type(annotation: Any) -> tuple[str | None, Any]:
    """What a result's annotation says of its media type, and the annotation.

    What stands around a stream is taken off it.
    """
    if get_origin(annotation) is not Annotated:
        return None, annotation
    found = read_extras(annotation.__metadata__)[0].content_type
    inner = get_args(annotation)[0]
    return found, inner if get_origin(inner) in _STREAMS or inner in _STREAMS else annotation


def _result(method: APIMethod, annotation: Any) -> tuple[bool, Any]:
    generates = inspect.isgeneratorfunction(method.func) or inspect.isasyncgenfunction(method.func)
    if generates or get_origin(annotation) in _STREAMS or annotation in _STREAMS:
        arguments = get_args(annotation)
        return True, arguments[0] if arguments else Any
    return False, annotation
