"""Options of BentoML's commands that bentofn does by other means: each says by which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from bentofn.runtime.errors import UserError

Command = TypeVar("Command", bound=Callable[..., Any])


def elsewhere(flags: Mapping[str, str], values: Mapping[str, str]) -> Callable[[Command], Command]:
    """Have a command refuse options of BentoML's in a sentence; its help does not show them.

    Args:
        flags: Options without a value, each to what to do in its place.
        values: Options with one.
    """

    def add(command: Command) -> Command:
        for name, instead in {**flags, **values}.items():
            command = click.option(
                name, is_flag=name in flags, hidden=True, expose_value=False,
                default=None, callback=_refuse(name, instead),
            )(command)  # fmt: skip
        return command

    return add


def _refuse(name: str, instead: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value is not None:
            raise UserError(f"bentofn {ctx.info_name} has no {name}: {instead}.")

    return callback
