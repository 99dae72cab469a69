"""What `bentofn deploy` takes and changes what is deployed, `bentofn plan` takes too."""

from __future__ import annotations

import click

from bentofn.adapters.protocol import FunctionSpec
from bentofn.commands.functions import deploy
from bentofn.commands.overrides import overridden
from bentofn.commands.plan import plan


def options(command: click.Command) -> set[str]:
    return {name for each in command.params for name in each.opts}


def test_a_plan_takes_what_a_deployment_takes() -> None:
    assert options(deploy) - options(plan) == {"--wait"}


def test_the_command_line_comes_before_the_file() -> None:
    spec = FunctionSpec("a", "a:1")
    changed = overridden(spec, "none", "lambda").settings
    assert (changed.snapshot, changed.profile) == ("none", "lambda")
    assert overridden(spec, None, None) == spec
