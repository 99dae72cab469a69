"""How the conformance suite of adapters applies specs and looks for values."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from bentofn._testing.world import InterruptedWorld, World
from bentofn.adapters.protocol import Deployed, FunctionSpec
from bentofn.adapters.secret import Secret
from bentofn.runtime.errors import UserError


class Apply:
    """Applies revisions, each with a new adapter.

    Args:
        world: Where.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self, revision: int) -> Deployed:
        """Apply a revision, which must succeed."""
        return self._world.adapter().apply(self._world.spec(revision), self._world.report)

    def outcome(self, revision: int) -> str:
        """Apply a revision: ``applied``, ``refused`` with one sentence, or ``interrupted``."""
        try:
            self(revision)
        except UserError as error:
            sentence = str(error)
        except InterruptedWorld:
            return "interrupted"
        else:
            return "applied"
        assert sentence
        assert "\n" not in sentence
        return "refused"

    def of(self, spec: FunctionSpec, said: list[str]) -> Deployed | str:
        """Apply a spec; what is reported is added to ``said``, an error is its own text."""

        def report(line: str) -> None:
            said.append(line)
            self._world.report(line)

        try:
            return self._world.adapter().apply(spec, report)
        except UserError as error:
            return f"{error} {error.__cause__}"


def secretive(world: World, value: str, variable: str) -> FunctionSpec:
    """The function with a variable and, where the target takes one, a secret.

    Args:
        world: Where it is deployed.
        value: The variable's value.
        variable: The variable of this machine that holds the secret.
    """
    spec = world.spec(1)
    environment = {**spec.settings.environment, "SUITE_TOKEN": value}
    settings = dataclasses.replace(spec.settings, environment=environment)
    if world.adapter().capabilities.of("secrets env").support != "refused":
        secrets = {"SUITE_SECRET": Secret("env", variable)}
        settings = dataclasses.replace(settings, secrets=secrets)
    return dataclasses.replace(spec, settings=settings)


def files_with(folder: Path, value: bytes) -> Iterator[Path]:
    """The files of a folder that hold a value."""
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # it may go meanwhile
            if path.is_file() and value in path.read_bytes():
                yield path
