"""What `bentofn deploy` and `bentofn plan` let a command line say over ``serverless.yml``."""

from __future__ import annotations

import dataclasses
from typing import cast

import click

from bentofn.adapters.protocol import FunctionSpec, Snapshot
from bentofn.commands.output import Command


def override_options(command: Command) -> Command:
    """Add ``--stage``, ``--snapshot`` and ``--as``, which comes as ``profile``."""
    command = click.option(
        "--as", "profile", metavar="PROFILE",
        help="The backend whose rules target local runs it by; bentofn emulator profiles lists "
        "them.",
    )(command)  # fmt: skip
    command = click.option(
        "--snapshot",
        type=click.Choice(["auto", "criu", "template", "none"]),
        help="Override the file's.",
    )(command)
    return click.option(
        "--stage", help="The stage of serverless.yml, as ${opt:stage} and ${sls:stage} read it."
    )(command)


def check_profile(profile: str | None) -> None:
    """Refuse a name that is not known before anything is built.

    Raises:
        UserError: There is no such profile.
    """
    if profile is not None:
        # Here, because it is of the platform's, and most commands have none.
        from bentofn.adapters.local.core.profile import load_profile

        load_profile(profile)


def overridden(spec: FunctionSpec, snapshot: str | None, profile: str | None) -> FunctionSpec:
    """A function with what the command line says of it.

    Args:
        spec: The function.
        snapshot: How it is started; None for as the file says.
        profile: Whose rules it runs by; None for as the file says.
    """
    settings = dataclasses.replace(
        spec.settings,
        snapshot=cast(Snapshot | None, snapshot) or spec.settings.snapshot,
        profile=profile or spec.settings.profile,
    )
    return dataclasses.replace(spec, settings=settings)
