"""A bento of BentoML becomes a project: its code, a bentofile, and the models that it names.

Source: what BentoML 1.4 writes, read by _bentoml_impl and bentoml/_internal/bento/bento.py of
https://github.com/bentoml/BentoML
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentofn.packager.bentoml.documents import read_document
from bentofn.packager.environment.names import requirement_name
from bentofn.packager.environment.runtime_requirements import RUNTIME_REQUIREMENTS
from bentofn.packager.files import make_directory
from bentofn.packager.layers.files import collect_tree
from bentofn.runtime.errors import UserError

BENTO_FILE = "bento.yaml"
BUILD_FILE = "bentofile.yaml"
_REQUIREMENTS = "bentofn-requirements.txt"
_CONSTRAINTS = "bentofn-constraints.txt"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(\[[^\]]*\])?==\S+")
# How BentoML's images install what a bentofile or an Image names.
# Source: _bentoml_sdk/images.py and bentoml/_internal/container/generate.py
_INSTALLS = re.compile(r"(apt-get|yum|apk) .*(--force-confdef|install -q -y|add) +(?P<names>.+)")
_FIRST = "apt-get update"


@dataclass(frozen=True)
class Adopted:
    """A project made of a bento.

    Args:
        project: Its folder.
        name: The bento's name.
        version: The bento's version.
        models: Folders of the models that it carries, or that BentoML's store has.
        notes: What it says that is not taken over, one sentence each.
    """

    project: Path
    name: str
    version: str
    models: tuple[Path, ...]
    notes: tuple[str, ...]


def is_bento(folder: Path) -> bool:
    """Whether a folder is a bento of BentoML."""
    return (folder / BENTO_FILE).is_file() and (folder / "src").is_dir()


def adopt(folder: Path, project: Path) -> Adopted:
    """Make a project of a bento.

    Args:
        folder: The bento's folder.
        project: The folder to make.

    Raises:
        UserError: The bento is none that BentoML wrote, a link leads out of it, or a model of it is
            neither in it nor in BentoML's store.
    """
    import yaml

    bento = read_document(folder / BENTO_FILE)
    for key in ("service", "name", "version"):
        if not isinstance(bento.get(key), str):
            raise UserError(f"{folder / BENTO_FILE} names no {key}; build the bento again.")
    for _ in collect_tree(folder / "src", "src"):
        pass  # a link that leads out is refused
    shutil.copytree(folder / "src", project, symlinks=True)
    written = folder / "src" / BUILD_FILE
    before = read_document(written) if written.is_file() else {}
    models = list(_models(bento))
    build, notes = _build_file(bento, before, models)
    _write_requirements(folder, project, build)
    (project / BUILD_FILE).write_text(yaml.safe_dump(build, sort_keys=True), encoding="utf-8")
    places = tuple(_place(folder, tag) for tag in models)
    return Adopted(project, bento["name"], bento["version"], places, tuple(notes))


def _build_file(
    bento: dict[str, Any], before: dict[str, Any], models: list[str]
) -> tuple[dict[str, Any], list[str]]:
    image = bento.get("image") or {}
    docker = {key: value for key, value in (before.get("docker") or {}).items() if value}
    docker |= {key: value for key, value in (bento.get("docker") or {}).items() if value}
    for key in ("setup_script", "dockerfile_template"):
        docker.pop(key, None)
    if image.get("python_version"):
        docker["python_version"] = str(image["python_version"])
    base = str(image.get("base_image") or "")
    if base and not base.startswith("python:"):
        docker["base_image"] = base
    installed, other = _commands(image)
    packages = sorted({*docker.get("system_packages", []), *installed})
    if packages:
        docker["system_packages"] = packages
    build: dict[str, Any] = {
        "service": bento["service"],
        "labels": {str(k): str(v) for k, v in (bento.get("labels") or {}).items()},
        "include": ["*"],
        "exclude": [f"/{_REQUIREMENTS}", f"/{_CONSTRAINTS}"],
        # BentoML writes a variable without a value, one that the deployment gives, as empty.
        "envs": [
            {key: value for key, value in env.items() if value != ""}
            for env in bento.get("envs") or []
        ],
        "models": [{"tag": tag} for tag in models],
        "args": dict(bento.get("args") or {}),
        "docker": docker,
    }
    description = before.get("description")
    if isinstance(description, str) and not description.startswith("file:"):
        build["description"] = description
    notes = [f"Its image's command {command!r} is not taken over." for command in other]
    return build, notes


def _commands(image: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The system packages that an image's commands install, and the commands that do else."""
    installed: list[str] = []
    other: list[str] = []
    for command in (*(image.get("commands") or ()), *(image.get("post_commands") or ())):
        text = " ".join(str(command).split())
        found = _INSTALLS.fullmatch(text)
        if text.startswith(_FIRST):
            continue
        if found:
            names = found["names"].split()
            installed += [name for name in names if not name.startswith("-")]
        else:
            other.append(text)
    return installed, other


def _models(bento: dict[str, Any]) -> Iterator[str]:
    """The tags of its models of the store, its own and its services'."""
    said = [*(bento.get("models") or ())]
    for service in bento.get("services") or ():
        said += service.get("models") or ()
    tags = {
        str(model["tag"])
        for model in said
        if isinstance(model, dict) and "tag" in model and model.get("registry") != "huggingface"
    }
    yield from sorted(tags)


def _place(folder: Path, tag: str) -> Path:
    name, _, version = tag.partition(":")
    if not _NAME.fullmatch(name) or not _NAME.fullmatch(version):
        raise UserError(f"{folder / BENTO_FILE} names a model {tag!r}; build the bento again.")
    home = Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml")
    for models in (folder / "models", home / "models"):
        if (models / name / version / "model.yaml").is_file():
            return models / name / version
    raise UserError(
        f"The model {tag} is neither in {folder / 'models'} nor in BentoML's store ({home}); "
        "export the bento with `bentoml export`, which puts its models in, and import that."
    )


def _write_requirements(folder: Path, project: Path, build: dict[str, Any]) -> None:
    """What was asked for, at the versions that were locked; BentoML only where it is needed."""
    python = folder / "env" / "python"
    asked = _lines(python / "requirements.in") or _lines(python / "requirements.txt")
    lock = _lines(python / "requirements.lock.txt") or _lines(python / "requirements.txt")
    # What the runtime needs has versions of its own.
    own = {requirement_name(requirement) for requirement in RUNTIME_REQUIREMENTS}
    wanted = [
        line for line in asked if requirement_name(line) != "bentoml" and not _is_default(line)
    ]
    pins = [line for line in lock if _PIN.match(line) and requirement_name(line) not in own]
    files = {_REQUIREMENTS: [f"-c {_CONSTRAINTS}", *wanted], _CONSTRAINTS: pins}
    for name, lines in files.items():
        make_directory(project)
        (project / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    build["python"] = {"requirements_txt": _REQUIREMENTS}


def _is_default(line: str) -> bool:
    """Whether a line only says what pip takes anyway."""
    return line.startswith(("--index-url https://pypi.org/", "--hash"))


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError):
        raise UserError(f"Cannot read {path}; build the bento again.") from None
    lines = (line.partition(" #")[0].strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
