"""Finds a project's build configuration, and remembers what it was read to be.

A parsed configuration is cached by the digest of the text that it came from, so that an unchanged
project is built without importing a YAML parser or pydantic.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from bentofn.packager.config.model import BuildConfig
from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

SCHEMA = 7
"""Raised when the same text would be read to mean something else."""

BENTOFILES = ("bentofile.yaml", "bentofile.yml")
_REQUIREMENTS = "requirements.txt"


def load_config(
    project: Path, home: Home, bentofile: Path | None = None, service: str | None = None
) -> BuildConfig:
    """Read the configuration of a project.

    Looked for in BentoML's order: ``bentofile.yaml``; ``pyproject.toml`` with
    ``[tool.bentofn.build]``, ``[tool.bentoml.build]`` or ``[project]``; the service alone.

    Args:
        project: The project's folder.
        home: Where parsed configurations are cached.
        bentofile: A file to read instead, YAML or TOML.
        service: The service, whatever the file says; by default what it says, or ``service.py``.

    Raises:
        UserError: There is none, or it is malformed; the message names file, place and key.
    """
    if not project.is_dir():
        raise UserError(f"{project} is not a directory; name the folder that holds your service.")
    path = bentofile if bentofile is not None else _find(project, service)
    if path is None:
        alone = service or "service.py"
        return BuildConfig(origin=alone.partition(":")[0], service=alone)
    text = _text(path)
    default_service = service or _default_service(project)
    src_layout = not (project / "service.py").exists() and (project / "src").is_dir()
    key = hashlib.sha256(
        "\0".join((str(SCHEMA), path.name, str(default_service), str(src_layout), text)).encode()
    ).hexdigest()
    cached = home.cache / "configs" / f"{key}.json"
    try:
        config = BuildConfig.from_plain(json.loads(cached.read_bytes()))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        config = _parse(path, text, default_service, src_layout)
        home.directory(cached.parent)
        atomic_write(cached, json.dumps(config.to_plain()).encode())
    return config if service is None else replace(config, service=service)


def with_requirements_file(
    project: Path, config: BuildConfig
) -> tuple[BuildConfig, tuple[str, ...]]:
    """The configuration with the project's ``requirements.txt``, where nothing names packages.

    Such a project is served by BentoML from the environment that its README has installed from
    that file.

    Returns:
        The configuration, and what the user should know.
    """
    python = config.python
    named = (python.packages, python.requirements_files, python.wheels, python.lines)
    if any(named) or python.uv_lock or not (project / _REQUIREMENTS).is_file():
        return config, ()
    note = f"{config.origin} names no Python packages: those of {_REQUIREMENTS} are taken."
    return replace(config, python=replace(python, requirements_files=(_REQUIREMENTS,))), (note,)


def _find(project: Path, service: str | None) -> Path | None:
    for name in BENTOFILES:
        if (project / name).exists():
            return project / name
    has_service = service is not None or (project / "service.py").is_file()
    pyproject = project / "pyproject.toml"
    if pyproject.exists():
        text = _text(pyproject)
        names_build = "tool.bentofn" in text or "tool.bentoml" in text
        if names_build or has_service or (project / "src" / "service.py").is_file():
            return pyproject
    if has_service:
        return None
    raise UserError(
        f"No bento can be built from {project}: it has no bentofile.yaml, no pyproject.toml with "
        "[tool.bentofn.build] and no service.py; write a bentofile.yaml with the line "
        'service: "service:MyClass" and the Python packages under python.packages, '
        "name the service's file (`bentofn build FILE.py:MyClass`), or start with `bentofn init`."
    )


def _default_service(project: Path) -> str | None:
    for candidate in ("service.py", "src/service.py"):
        if (project / candidate).is_file():
            return "service.py"
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"There is no file {path}; check what names it.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a directory, not a build file.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}).") from None


def _parse(path: Path, text: str, default_service: str | None, src_layout: bool) -> BuildConfig:
    from bentofn.packager.config import bentofile

    if path.suffix == ".toml":
        return _from_pyproject(path, text, default_service, src_layout)
    return bentofile.parse(_yaml(path, text), path.name, default_service=default_service)


def read_yaml(path: Path) -> object:
    """What a YAML file holds.

    Raises:
        UserError: There is none, or it is not valid.
    """
    return _yaml(path, _text(path))


def _yaml(path: Path, text: str) -> object:
    import yaml

    try:
        _refuse_repeated_keys(path.name, yaml.compose(text, Loader=yaml.SafeLoader))
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = error.problem or error.context or "it cannot be read"
        raise UserError(f"{path.name}{place} is not valid YAML: {problem}.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path.name} is not valid YAML: {error}.") from None


def _refuse_repeated_keys(origin: str, root: Any) -> None:
    """YAML forbids a key twice in one mapping; PyYAML takes the last without a word."""
    nodes, seen = [root], set()
    while nodes:
        node = nodes.pop()
        if node is None or node.id == "scalar" or id(node) in seen:
            continue
        seen.add(id(node))
        if node.id == "sequence":
            nodes += node.value
            continue
        keys = set()
        for key, value in node.value:
            if key.id == "scalar" and key.value in keys:
                line = key.start_mark.line + 1
                raise UserError(
                    f"{origin} line {line}: the key {key.value!r} stands twice; keep one of them."
                )
            keys.add(key.value if key.id == "scalar" else None)
            nodes.append(value)


def _from_pyproject(
    path: Path, text: str, default_service: str | None, src_layout: bool
) -> BuildConfig:
    from bentofn.packager.config import bentofile

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path.name} is not valid TOML: {error}.") from None
    table = _build_table(document)
    origin = path.name if table is None else f"{path.name} [tool.{table}.build]"
    raw = document["tool"][table]["build"] if table else {}
    config = bentofile.parse(raw, origin, default_service=default_service)
    project = document.get("project", {})
    python = replace(
        config.python, packages=(*project.get("dependencies", ()), *config.python.packages)
    )
    warnings = config.warnings
    if "dependencies" in project.get("dynamic", ()):
        warnings += (f"{path.name}: dynamic dependencies are not read; list them in the build.",)
    return replace(
        config,
        name=config.name or project.get("name"),
        description=config.description or project.get("description", ""),
        python=python,
        source_root="src" if src_layout else config.source_root,
        warnings=warnings,
    )


def _build_table(document: dict[str, Any]) -> str | None:
    tool = document.get("tool", {})
    for name in ("bentofn", "bentoml"):
        table = tool.get(name, {}) if isinstance(tool, dict) else tool
        if not isinstance(table, dict):
            raise UserError(
                f"pyproject.toml: tool.{name} is not a table; write [tool.{name}.build]."
            )
        if "build" in table:
            return name
    return None
