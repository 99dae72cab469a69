"""Arguments of a bento: given to a build, fixed in the manifest, overridden where it is served.

A service reads them with ``bentoml.use_arguments()`` while it is imported.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, TypeVar, overload

from bentofn.runtime.errors import InvalidArgument
from bentofn.runtime.layout import BentoRoot

VARIABLE = "BENTOFN_ARGS"
"""Environment variable that holds arguments as a JSON object; they override the manifest's."""

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
    values = arguments()
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


def arguments() -> dict[str, Any]:
    """The arguments of this process: the manifest's, and over them the environment's."""
    return {**_of_bento(), **decode(os.environ.get(VARIABLE, "{}"))}


def set_arguments(values: Mapping[str, Any]) -> None:
    """Give arguments to this process and its children, over those that it has."""
    os.environ[VARIABLE] = encode({**decode(os.environ.get(VARIABLE, "{}")), **values})


def encode(values: Mapping[str, Any]) -> str:
    """Arguments as the value of :data:`VARIABLE`."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def decode(text: str) -> dict[str, Any]:
    """The inverse of :func:`encode`.

    Raises:
        InvalidArgument: It is no JSON object.
    """
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise InvalidArgument(f"{VARIABLE} is no JSON object; give arguments by --arg NAME=VALUE.")
    return values


def _of_bento() -> Mapping[str, Any]:
    root = BentoRoot.current()
    if root is None:
        return {}
    from bentofn.runtime.manifest import BentoManifest

    return BentoManifest.read(root.manifest).arguments
