"""Arguments of a bento: given to a build, and others perhaps where it is served.

A service reads them with ``bentoml.use_arguments()`` while it is imported. They travel as one
variable of the bento's environment, so that a build's import, an image, a template and a snapshot's
key all know them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, TypeVar, overload

from bentofn.runtime.errors import InvalidArgument

VARIABLE = "BENTOFN_ARGS"
"""Environment variable that holds them, as a JSON object."""

M = TypeVar("M")


@overload
def use_arguments(model: type[M]) -> M: ...


@overload
def use_arguments(model: None = None) -> SimpleNamespace: ...


def use_arguments(model: type[Any] | None = None) -> Any:
    """The bento's arguments.

    Args:
        model: A pydantic model that checks and converts them, and gives those that nobody gave
            their defaults.

    Returns:
        An instance of the model; without one, a namespace of the arguments as they were given.

    Raises:
        InvalidArgument: They do not fit the model.
    """
    values = arguments_of(os.environ)
    if model is None:
        return SimpleNamespace(**values)
    from pydantic import ValidationError

    try:
        return model(**values)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        where = ".".join(map(str, wrong["loc"]))
        raise InvalidArgument(
            f"The argument {where} does not fit: {wrong['msg']}; give it by --arg {where}=VALUE."
        ) from error


def with_arguments(env: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    """An environment with arguments, over those that it has.

    Raises:
        InvalidArgument: Those that it has cannot be read.
    """
    if not values:
        return dict(env)
    merged = {**arguments_of(env), **values}
    text = json.dumps(
        merged, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
    )
    return {**env, VARIABLE: text}


def set_arguments(values: Mapping[str, Any]) -> None:
    """Give arguments to this process and its children, over those that it has."""
    os.environ.update(with_arguments(os.environ, values))


def arguments_of(env: Mapping[str, str]) -> dict[str, Any]:
    """The arguments that an environment holds.

    Raises:
        InvalidArgument: They are no JSON object.
    """
    try:
        values = json.loads(env.get(VARIABLE, "{}"))
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise InvalidArgument(f"{VARIABLE} is no JSON object; give arguments by --arg NAME=VALUE.")
    return values
