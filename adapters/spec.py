"""``serverless.yml``: the Serverless Framework's file, read into a deployment.

What the framework has no word for stands under ``custom.bentofn``, so that ``osls`` and
``serverless`` accept the same file.

Source: https://www.serverless.com/framework/docs/providers/aws/guide/serverless.yml
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bentofn.adapters.function_section import (
    LOCAL,
    READ_OF_PROVIDER,
    Surroundings,
    default_settings,
    foreign_runtime,
    read_function,
)
from bentofn.adapters.settings import FunctionSettings, FunctionSpec
from bentofn.adapters.variables import Scope
from bentofn.adapters.yamlfile import read_yaml
from bentofn.adapters.yamltree import Node
from bentofn.runtime.errors import UserError

FILE_NAME = "serverless.yml"

# fmt: off
# The framework's own keys, v3 and v4. The ones that bentofn does not read are for the framework.
_TOP_KEYS = [
    "service", "frameworkVersion", "provider", "functions", "custom", "plugins", "package",
    "resources", "layers", "params", "useDotenv", "configValidationMode",
    "variablesResolutionMode", "deprecationNotificationMode", "disabledDeprecations", "stages",
    "app", "org", "licenseKey", "outputs", "console", "dashboard", "build", "state", "extend",
    "constructs", "configPath",
]
# fmt: on


@dataclass(frozen=True)
class FunctionDeclaration:
    """A function of the file, before its bento is known.

    Args:
        name: Its name.
        project: The project's folder to build, or None where ``bento`` is given.
        bento: ``name[:version]`` in the store, or None.
        settings: How it runs; the usual ones where it is no function of bentofn's.
        foreign: What it runs on where that is no Python, so that it is another tool's to deploy.
    """

    name: str
    project: Path | None
    bento: str | None
    settings: FunctionSettings
    foreign: str | None = None

    def check(self) -> None:
        """Refuse what is no function of bentofn's.

        Raises:
            UserError: It runs on something else than Python.
        """
        if self.foreign is not None:
            raise UserError(
                f"Function {self.name!r} has the runtime {self.foreign}, and bentofn deploys "
                "Python functions, made of bentos; name another one with --function NAME, or say "
                "runtime: python3.12 if it is one."
            )

    def spec(self, bento: str) -> FunctionSpec:
        """The function to deploy, made from this bento (``name:version``)."""
        return FunctionSpec(self.name, bento, self.settings)


@dataclass(frozen=True)
class DeploymentSpec:
    """What one ``serverless.yml`` says.

    Args:
        service: The name of the whole.
        functions: The functions by name, in the file's order.
        path: The file, or None where there was none.
    """

    service: str
    functions: Mapping[str, FunctionDeclaration]
    path: Path | None = None


def load_spec(
    directory: Path,
    environ: Mapping[str, str] = os.environ,
    target: str = LOCAL,
    stage: str | None = None,
) -> DeploymentSpec | None:
    """Read ``serverless.yml`` (or ``.yaml``) of a folder; None where there is none.

    Args:
        directory: The folder.
        environ: The variables of this machine.
        target: Where it is deployed to: what the file says for that alone comes first.
        stage: The framework's stage; None for the file's own.

    Raises:
        UserError: The file is wrong; says the file, the key path and the nearest known key.
    """
    for name in (FILE_NAME, "serverless.yaml"):
        if (directory / name).is_file():
            return read_spec(directory / name, environ, target, stage)
    return None


def default_spec(
    name: str, *, project: Path | None = None, bento: str | None = None, target: str = LOCAL
) -> DeploymentSpec:
    """One function with default settings, for a bento or project without ``serverless.yml``.

    Args:
        name: The function's name: the bento's; what a function's name may not hold becomes ``-``.
        project: The project's folder, where it is to be built.
        bento: ``name:version``, where it is built already.
        target: Where it is deployed to.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:64] or "service"
    declaration = FunctionDeclaration(name, project, bento, default_settings(target))
    return DeploymentSpec(name, {name: declaration})


def read_spec(
    path: Path,
    environ: Mapping[str, str] = os.environ,
    target: str = LOCAL,
    stage: str | None = None,
) -> DeploymentSpec:
    """Read a file in Serverless Framework syntax.

    Args:
        path: The file.
        environ: The variables of this machine.
        target: Where it is deployed to: what the file says for that alone comes first.
        stage: The framework's stage; None for the file's own.

    Raises:
        UserError: See :func:`load_spec`.
    """
    document = read_yaml(path)
    scope = Scope(
        environ,
        document if isinstance(document, dict) else {},
        directory=path.parent,
        options={} if stage is None else {"stage": stage},
    )
    root = Node(document, path.name, (), scope)
    root.only(_TOP_KEYS)
    service = root["service"].text()
    provider = root["provider"]
    if provider.is_mapping:
        provider.no_typo(READ_OF_PROVIDER)
    functions = root["functions"]
    custom = root["custom"]["bentofn"]
    custom.only(["functions"])
    custom["functions"].only(functions.keys(), what="function")
    surroundings = Surroundings(
        service, provider if provider.is_mapping else provider.absent(), path.parent,
        functions.keys(), target, stage,
    )  # fmt: skip
    declared = {}
    for name in functions.keys():  # noqa: SIM118 - a Node is no mapping
        node, own = functions[name], custom["functions"][name]
        foreign = foreign_runtime(node, surroundings.provider)
        if foreign is not None:
            declared[name] = FunctionDeclaration(
                name, None, None, default_settings(target), foreign
            )
            continue
        source, settings = read_function(name, node, own, surroundings)
        declared[name] = FunctionDeclaration(name, *source, settings)
    if not declared:
        raise UserError(f"{path.name}: it declares no function; add one under functions.")
    return DeploymentSpec(service, declared, path)
