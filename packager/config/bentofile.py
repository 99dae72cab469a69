"""The schema of BentoML's bentofile.yaml, and how a mistake in one is told.

Source: https://docs.bentoml.com/en/latest/reference/bentoml/bento-build-options.html
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ValidationError, field_validator, model_validator

from bentofn.packager.config.conda import CondaSection, conda_notes
from bentofn.packager.config.docker import DockerSection, docker_options
from bentofn.packager.config.model import (
    BuildConfig,
    EnvironmentVariable,
    ModelChoice,
    PythonOptions,
)
from bentofn.packager.config.pip_args import parse_pip_args
from bentofn.packager.config.section import SECTION, Strings, Text
from bentofn.runtime.errors import UserError


class ModelSection(BaseModel):
    """One of ``models`` in its long form."""

    model_config = SECTION

    tag: str
    filter: str | None = None
    alias: str | None = None


class EnvSection(BaseModel):
    """One of ``envs``."""

    model_config = SECTION

    name: str
    value: Text | None = None
    stage: Literal["all", "build", "runtime"] = "all"


class PythonSection(BaseModel):
    """``python``: the dependencies."""

    model_config = SECTION

    requirements_txt: str | None = None
    packages: Strings = []
    lock_packages: bool = True
    pack_git_packages: bool = True
    index_url: str | None = None
    no_index: bool | None = None
    trusted_host: Strings = []
    find_links: Strings = []
    extra_index_url: Strings = []
    pip_args: str | None = None
    wheels: Strings = []
    build_packages: Strings = []
    is_src_layout: bool = False


class Bentofile(BaseModel):
    """A whole bentofile."""

    model_config = SECTION

    service: str | None = None
    name: str | None = None
    description: str | None = None
    labels: dict[Text, Text] = {}
    include: Strings = ["*"]
    exclude: Strings = []
    models: list[ModelSection] = []
    envs: list[EnvSection] = []
    args: dict[str, Any] = {}
    docker: DockerSection = DockerSection()
    python: PythonSection = PythonSection()
    conda: CondaSection = CondaSection()
    allow_secrets: Strings = []
    allow_pickles: Strings = []

    @model_validator(mode="before")
    @classmethod
    def _absent_sections(cls, value: object) -> object:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None}
        return value

    @field_validator("labels", mode="before")
    @classmethod
    def _labels_are_text(cls, value: object) -> object:
        # As BentoML does: a number, a list or a mapping is written as Python writes it.
        return {key: str(item) for key, item in value.items()} if isinstance(value, dict) else value

    @field_validator("models", mode="before")
    @classmethod
    def _short_models(cls, value: object) -> object:
        if isinstance(value, list):
            return [{"tag": item} if isinstance(item, str) else item for item in value]
        return value


def parse(raw: object, origin: str, *, default_service: str | None) -> BuildConfig:
    """Check a bentofile's content.

    Args:
        raw: What YAML or TOML gave.
        origin: Name of the file, and of the table in it, for messages.
        default_service: The service to take if the content names none.

    Raises:
        UserError: A key is unknown, a value has the wrong type, or the service is not named.
    """
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise UserError(f"{origin} must hold a mapping of keys, such as service: service:MyClass.")
    try:
        file = Bentofile.model_validate(raw)
    except ValidationError as error:
        raise UserError(_sentence(error.errors()[0], origin)) from None
    service = file.service or default_service
    if not service:
        raise UserError(
            f'{origin} names no service and there is no service.py; add service: "file.py:Class".'
        )
    # As with BentoML: a file stands for the whole section.
    conda = CondaSection() if file.conda.environment_yml else file.conda
    try:
        python, warnings = _python(file.python, conda.requirements())
    except ValueError as error:
        raise UserError(
            f"{origin}: python.pip_args cannot be read: {str(error).lower()}."
        ) from None
    docker, notes = docker_options(file.docker)
    notes += conda_notes(conda)
    return BuildConfig(
        origin=origin,
        service=service,
        name=file.name,
        description=file.description or "",
        labels=file.labels,
        include=tuple(file.include),
        exclude=tuple(file.exclude),
        models=tuple(ModelChoice(item.tag, item.alias) for item in file.models),
        envs=tuple(EnvironmentVariable(e.name, e.value) for e in file.envs if e.stage != "build"),
        python=python,
        python_version=file.docker.python_version or conda.python_version(),
        conda_file=file.conda.environment_yml,
        docker=docker,
        allow_secrets=tuple(file.allow_secrets),
        allow_pickles=tuple(file.allow_pickles),
        arguments=file.args,
        source_root="src" if file.python.is_src_layout else "",
        warnings=tuple(f"{origin}: {text}" for text in (*_unapplied(file), *notes, *warnings)),
    )


def _unapplied(file: Bentofile) -> list[str]:
    texts = [
        f"models of {model.tag}: filter has no effect, as with BentoML."
        for model in file.models
        if model.filter
    ]
    conda = file.conda
    if conda.environment_yml and (conda.dependencies or conda.pip or conda.channels):
        texts.append("conda: environment_yml stands for the whole section.")
    build_only = [env.name for env in file.envs if env.stage == "build"]
    if build_only:
        texts.append(f"envs of stage build are not applied: {', '.join(build_only)}.")
    return texts


def _python(section: PythonSection, more: list[str]) -> tuple[PythonOptions, list[str]]:
    extra, unknown = parse_pip_args(section.pip_args or "")
    files = [section.requirements_txt] if section.requirements_txt else []
    options = PythonOptions(
        packages=(*section.packages, *more),
        requirements_files=(*files, *extra.get("--requirement", [])),
        constraints_files=tuple(extra.get("--constraint", [])),
        index_url=extra.get("--index-url", [section.index_url])[-1],
        extra_index_urls=(*section.extra_index_url, *extra.get("--extra-index-url", [])),
        find_links=(*section.find_links, *extra.get("--find-links", [])),
        trusted_hosts=(*section.trusted_host, *extra.get("--trusted-host", [])),
        no_index=bool(section.no_index) or "--no-index" in extra,
        prerelease="--pre" in extra,
        only_binary=tuple(extra.get("--only-binary", [])),
        no_binary=tuple(extra.get("--no-binary", [])),
        wheels=tuple(section.wheels),
        is_locked=section.lock_packages,
        build_packages=tuple(section.build_packages),
    )
    warnings = [f"python.pip_args: {name} is not applied." for name in unknown]
    if options.no_index and (options.index_url or options.extra_index_urls):
        warnings.append("python.no_index: index_url and extra_index_url are ignored.")
    return options, warnings


def _sentence(error: Mapping[str, Any], origin: str) -> str:
    path = [part for part in error["loc"] if not _is_union_branch(part)]
    where = ".".join(str(part) for part in path)
    if error["type"] == "extra_forbidden":
        known = _keys_at(path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(known)}."
        return f"{origin}: unknown key {where!r}; {hint}"
    if error["type"] == "missing":
        return f"{origin}: {where} is missing."
    if error["type"] in ("model_type", "dict_type"):
        return f"{origin}: {where} must be a mapping of keys to values."
    if error["type"] == "list_type":
        return f"{origin}: {where} must be a list."
    message = error["msg"].removeprefix("Value error, ")
    return f"{origin}: {where}: {message[0].lower()}{message[1:]}."


def _is_union_branch(part: object) -> bool:
    return isinstance(part, str) and (part == "str" or "[" in part)


def _keys_at(path: list[Any]) -> list[str]:
    model: type[BaseModel] = Bentofile
    for part in path:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        inner = [*get_args(annotation), annotation]
        model = next(a for a in inner if isinstance(a, type) and issubclass(a, BaseModel))
    return list(model.model_fields)
