"""What `bentofn deploy SOURCE` means: projects are built, tags are made exact."""

from __future__ import annotations

from pathlib import Path

from bentofn.adapters.protocol import FunctionSpec
from bentofn.adapters.spec import DeploymentSpec, FunctionDeclaration, default_spec, load_spec
from bentofn.commands.output import Report
from bentofn.packager.build import BuildOptions, build
from bentofn.packager.home import Home
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError


def declared(
    source: str, only: str | None, home: Home, report: Report
) -> list[FunctionDeclaration]:
    """The functions that a source declares.

    Args:
        source: A project's folder, with or without ``serverless.yml``, or a bento's tag.
        only: The one function of ``serverless.yml`` that is meant, or None for all.
        home: Where bentos are.
        report: Told about each step and each warning.

    Raises:
        UserError: There is no such project, bento or function.
    """
    functions = _declared(source, home, report).functions
    if only is None:
        return list(functions.values())
    if only not in functions:
        raise UserError(
            f"serverless.yml declares no function {only!r}; it has: {', '.join(functions)}."
        )
    return [functions[only]]


def to_deploy(function: FunctionDeclaration, home: Home, report: Report) -> FunctionSpec:
    """What is deployed for a function; its project is built.

    Raises:
        UserError: There is no such bento, or the project cannot be built.
    """
    spec = function.spec(_tag(function, home, report))
    _warn_of_missing_variables(spec, home, report)
    return spec


def _declared(source: str, home: Home, report: Report) -> DeploymentSpec:
    project = Path(source)
    if project.is_dir():
        found = load_spec(project)
        if found is not None:
            return found
        tag = _build(project, home, report)
        return default_spec(tag.split(":")[0], bento=tag)
    if project.is_file():
        raise UserError(
            f"{source} is a file; name the folder that it is in: bentofn deploy {project.parent}."
        )
    if "/" in source or source.startswith("."):
        raise UserError(f"There is no folder {source}; name a project's folder or a bento's tag.")
    entry = Store(home).get("bento", source)
    return default_spec(entry.name, bento=entry.tag)


def _tag(function: FunctionDeclaration, home: Home, report: Report) -> str:
    if function.project is not None:
        return _build(function.project, home, report, gpu=function.settings.gpu is not None)
    assert function.bento is not None
    return Store(home).get("bento", function.bento).tag


def _build(project: Path, home: Home, report: Report, *, gpu: bool = False) -> str:
    report(f"Building {project.absolute().name}")
    built = build(project, home, BuildOptions(gpu=gpu or None), report)
    for warning in built.warnings:
        report(f"Warning: {warning}")
    return built.tag


def _warn_of_missing_variables(spec: FunctionSpec, home: Home, report: Report) -> None:
    """Say which declared variables nobody gives a value: an instance inherits none of ours."""
    store = Store(home)
    declared = store.bento(store.get("bento", spec.bento)).secrets
    missing = [name for name in declared if name not in spec.settings.environment]
    if missing:
        report(
            f"Warning: {spec.name} runs without {', '.join(missing)}, which it declares without a "
            f"value; give it in serverless.yml: environment: {{{missing[0]}: "
            f"'${{env:{missing[0]}}}'}}."
        )
