"""What `bentofn deploy SOURCE` means: projects are built, tags are made exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from bentofn.adapters.build_target import build_target
from bentofn.adapters.function_section import default_settings
from bentofn.adapters.protocol import FunctionSpec
from bentofn.adapters.registry import get_adapter
from bentofn.adapters.spec import DeploymentSpec, FunctionDeclaration, default_spec, load_spec
from bentofn.commands.output import Report
from bentofn.packager.build import BuildOptions, build
from bentofn.packager.environment.target import host_platform
from bentofn.packager.home import Home
from bentofn.packager.store import Store
from bentofn.runtime.arguments import VARIABLE, with_arguments
from bentofn.runtime.errors import UserError

Arguments: TypeAlias = "Mapping[str, Any]"


def declared(
    source: str,
    only: str | None,
    arguments: Arguments,
    home: Home,
    report: Report,
    target: str = "local",
    stage: str | None = None,
) -> list[FunctionDeclaration]:
    """The functions that a source declares.

    Args:
        source: A project's folder, with or without ``serverless.yml``, or a bento's tag.
        only: The one function of ``serverless.yml`` that is meant, or None for all.
        arguments: What the services read with ``use_arguments``, over those of their build files.
        home: Where bentos are.
        report: Told about each step and each warning.
        target: Where they are deployed to.
        stage: The Serverless Framework's stage; None for that of ``serverless.yml``.

    Raises:
        UserError: There is no such project, bento or function.
    """
    functions = _declared(source, arguments, home, report, target, stage).functions
    if only is None:
        return list(functions.values())
    if only not in functions:
        raise UserError(
            f"serverless.yml declares no function {only!r}; it has: {', '.join(functions)}."
        )
    return [functions[only]]


def to_deploy(
    function: FunctionDeclaration,
    arguments: Arguments,
    home: Home,
    report: Report,
    target: str = "local",
) -> FunctionSpec:
    """What is deployed for a function; its project is built.

    Args:
        function: The function.
        arguments: As for :func:`declared`; a bento that is built already gets them too.
        home: Where bentos are.
        report: Told about each step and each warning.
        target: Where it is deployed to.

    Raises:
        UserError: There is no such bento, the project cannot be built, or the function is none of
            bentofn's.
    """
    function.check()
    spec = function.spec(_tag(function, arguments, home, report, target))
    spec = _with_arguments(spec, arguments, home)
    _warn_of_missing_variables(spec, home, report)
    return spec


def _with_arguments(spec: FunctionSpec, arguments: Arguments, home: Home) -> FunctionSpec:
    """Override the arguments of the bento, where they are others."""
    store = Store(home)
    own = store.bento(store.get("bento", spec.bento)).envs
    settings = spec.settings
    found = {**own, **settings.environment}
    wanted = with_arguments(found, arguments)
    if wanted.get(VARIABLE) == found.get(VARIABLE):
        return spec
    environment = {**settings.environment, VARIABLE: wanted[VARIABLE]}
    return replace(spec, settings=replace(settings, environment=environment))


def _declared(
    source: str, arguments: Arguments, home: Home, report: Report, target: str, stage: str | None
) -> DeploymentSpec:
    project = Path(source)
    if project.is_dir():
        found = load_spec(project, target=target, stage=stage)
        if found is not None:
            return found
        machine = build_target(default_settings(target), target, host_platform())
        options = BuildOptions(
            arguments=arguments, platform=machine.platform, cpu_only=_without_gpu(target, home)
        )
        tag = _build(project, options, home, report)
        return default_spec(tag.split(":")[0], bento=tag, target=target)
    if project.is_file():
        raise UserError(
            f"{source} is a file; name the folder that it is in: bentofn deploy {project.parent}."
        )
    if "/" in source or source.startswith("."):
        raise UserError(f"There is no folder {source}; name a project's folder or a bento's tag.")
    try:
        entry = Store(home).get("bento", source)
    except UserError as error:
        if ":" in source:
            raise
        raise UserError(f"There is no folder {source} here. {error}") from None
    return default_spec(entry.name, bento=entry.tag, target=target)


def _tag(
    function: FunctionDeclaration, arguments: Arguments, home: Home, report: Report, target: str
) -> str:
    if function.project is not None:
        machine = build_target(function.settings, target, host_platform())
        options = BuildOptions(
            gpu=function.settings.gpu is not None or None,
            cpu_only=_without_gpu(target, home),
            arguments=arguments,
            platform=machine.platform,
            python=machine.python,
        )
        return _build(function.project, options, home, report)
    assert function.bento is not None
    return Store(home).get("bento", function.bento).tag


def _without_gpu(target: str, home: Home) -> str | None:
    """What :class:`BuildOptions` says of a target that has no GPU."""
    support = get_adapter(target, home).capabilities.of("gpu").support
    return f"Target {target}" if support == "refused" else None


def _build(project: Path, options: BuildOptions, home: Home, report: Report) -> str:
    report(f"Building {project.absolute().name}")
    built = build(project, home, options, report)
    for warning in built.warnings:
        report(f"Warning: {warning}")
    return built.tag


def _warn_of_missing_variables(spec: FunctionSpec, home: Home, report: Report) -> None:
    """Say which declared variables nobody gives a value: an instance inherits none of ours."""
    store = Store(home)
    declared = store.bento(store.get("bento", spec.bento)).secrets
    given = {*spec.settings.environment, *spec.settings.secrets}
    missing = [name for name in declared if name not in given]
    if missing:
        report(
            f"Warning: {spec.name} runs without {', '.join(missing)}, which it declares without a "
            f"value; give it in serverless.yml: environment: {{{missing[0]}: "
            f"'${{env:{missing[0]}}}'}}."
        )
