"""A secret as the spec names it: where its value is, never the value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from bentofn.adapters.yamltree import Node
from bentofn.runtime.errors import UserError

SecretSource = Literal["env", "file", "ssm", "secretsmanager", "modal"]
"""Where a secret's value is: a variable or a file of the machine that deploys, or a store of the
target's."""

SOURCES: tuple[SecretSource, ...] = get_args(SecretSource)
DEPLOYING: tuple[SecretSource, ...] = ("env", "file")
"""Those whose value is read on the machine that deploys."""


@dataclass(frozen=True)
class Secret:
    """Where a secret's value is.

    Args:
        source: In what.
        name: Its name there: a variable, an absolute path, a parameter's name or ARN, the name of
            a secret of Modal's.
    """

    source: SecretSource
    name: str

    def __str__(self) -> str:
        return f"{self.source}:{self.name}"

    def read(self, variable: str, environ: Mapping[str, str] = os.environ) -> str:
        """The value of a secret that is on the machine that deploys.

        Args:
            variable: The variable that the function gets it as, for messages.
            environ: The machine's variables.

        Raises:
            UserError: It is not there; the sentence says where it was looked for.
        """
        if self.source == "env":
            if self.name not in environ:
                raise UserError(
                    f"Secret {variable} comes from the variable {self.name}, which is not set; "
                    "set it where you deploy."
                )
            return environ[self.name]
        if self.source == "file":
            try:
                return Path(self.name).read_text(encoding="utf-8").rstrip("\n")
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "it is not UTF-8 text"
                raise UserError(f"Secret {variable} comes from {self.name}: {why}.") from None
        raise UserError(f"Secret {variable} ({self}) is in a store that is not on this machine.")


def read_secrets(node: Node, directory: Path) -> dict[str, Secret]:
    """Read the secrets of a function's section: ``NAME: SOURCE[:NAME]``, or ``{from: ...}``.

    Args:
        node: The section's ``secrets``.
        directory: What the paths of files are relative to.

    Raises:
        UserError: One names no source; the sentence holds no value.
    """
    return {name: _secret(node[name], name, directory) for name in node.keys()}  # noqa: SIM118


def _secret(node: Node, variable: str, directory: Path) -> Secret:
    if node.is_mapping:
        node.only(["from"])
        node = node["from"]
    given, _, name = node.text().partition(":")
    for source in SOURCES:
        if source != given:
            continue
        if source == "env":
            return Secret("env", name or variable)
        if not name:
            raise node.error(f"write what it is called there, as in {source}:NAME")
        if source == "file":
            return Secret("file", str((directory / name).resolve()))
        return Secret(source, name)
    # Whoever writes the value itself here must not read it in a message.
    raise node.error(f"it must begin with {', '.join(f'{each}:' for each in SOURCES)}")


def secret_values(
    secrets: Mapping[str, Secret], environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The values of those that are on the machine that deploys, by variable.

    Raises:
        UserError: One is not there.
    """
    return {
        variable: secret.read(variable, environ)
        for variable, secret in secrets.items()
        if secret.source in DEPLOYING
    }
