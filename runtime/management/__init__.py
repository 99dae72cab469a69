"""What a script does with bentos: builds, lists, exports and serves them.

The functions have BentoML's names. They are bentofn's commands, run in a process of their own, and
work where bentofn is installed; an artifact carries the runtime alone.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bentofn.runtime.errors import InvalidArgument, NotFound
from bentofn.runtime.loading import load_service
from bentofn.runtime.management.command import Failed, run
from bentofn.runtime.management.serving import Server, serve
from bentofn.runtime.service import Service
from bentofn.runtime.tags import Tag

__all__ = [
    "Bento",
    "Server",
    "build",
    "build_bentofile",
    "delete",
    "export_bento",
    "get",
    "import_bento",
    "list",
    "load",
    "serve",
]


@dataclass(frozen=True)
class Bento:
    """A bento of this machine.

    Args:
        tag: Its name and version.
        digest: Digest of its OCI manifest.
        creation_time: When it was made.
        info: What `bentofn get --json` tells of it; empty in a list.
    """

    tag: Tag
    digest: str
    creation_time: datetime | None = None
    info: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"Bento(tag={str(self.tag)!r})"


def list(tag: Tag | str | None = None) -> Sequence[Bento]:
    """The bentos of this machine.

    Args:
        tag: Only those of this name, or this one.
    """
    wanted = None if tag is None else Tag.from_taglike(tag)
    found = [_bento(each) for each in run("list")]
    if wanted is None:
        return found
    return [
        each
        for each in found
        if each.tag.name == wanted.name and wanted.version in (None, each.tag.version)
    ]


def get(tag: Tag | str) -> Bento:
    """One bento.

    Raises:
        NotFound: There is none.
    """
    try:
        document = run("get", str(tag))
    except Failed as error:
        raise NotFound(str(error)) from None
    return _bento(document, document)


def delete(tag: Tag | str) -> None:
    """Delete a bento.

    Raises:
        NotFound: There is none, or it is deployed.
    """
    try:
        run("delete", str(tag))
    except Failed as error:
        raise NotFound(str(error)) from None


def export_bento(tag: Tag | str, path: str, **options: Any) -> str:
    """Write a bento as one file, an OCI layout in a tar; returns its path.

    Raises:
        InvalidArgument: An option of BentoML's other formats is given, or it cannot be written.
    """
    _refuse(options)
    return str(_said("export", str(tag), path)["file"])


def import_bento(path: str, **options: Any) -> Bento:
    """Add the bento of a file that ``export_bento`` wrote, or build that of a BentoML export.

    Raises:
        InvalidArgument: An option of BentoML's other formats is given, or it is no bento.
    """
    _refuse(options)
    return _bento(_said("import", path))


def build(
    service: str,
    *,
    name: str | None = None,
    version: str | None = None,
    labels: Mapping[str, str] | None = None,
    build_ctx: str | None = None,
    platform: str | None = None,
    args: Mapping[str, Any] | None = None,
    **options: Any,
) -> Bento:
    """Build a project.

    Args:
        service: ``module:Class`` or ``file.py:Class``.
        name: The bento's name.
        version: Its version.
        labels: Its labels.
        build_ctx: The project's folder; by default the working directory.
        platform: What it is for, such as ``linux/arm64``.
        args: What the service reads with ``use_arguments``.
        **options: The other keys of a bentofile.

    Raises:
        InvalidArgument: It cannot be built.
    """
    keys = {key: value for key, value in options.items() if value is not None}
    bentofile = {"service": service, "labels": dict(labels or {}), "args": dict(args or {}), **keys}
    folder = tempfile.mkdtemp(prefix="bentofn-")
    try:
        file = Path(folder, "bentofile.yaml")
        file.write_text(json.dumps(bentofile), encoding="utf-8")  # JSON is YAML
        return build_bentofile(
            str(file), name=name, version=version, build_ctx=build_ctx, platform=platform
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def build_bentofile(
    bentofile: str | None = None,
    *,
    name: str | None = None,
    version: str | None = None,
    labels: Mapping[str, str] | None = None,
    build_ctx: str | None = None,
    platform: str | None = None,
    args: Mapping[str, Any] | None = None,
) -> Bento:
    """Build a project by its build file.

    Args:
        bentofile: The file; by default the project's own.
        name: The bento's name.
        version: Its version.
        labels: Labels, over those of the file.
        build_ctx: The project's folder; by default the working directory.
        platform: What it is for.
        args: What the service reads with ``use_arguments``, over those of the file.

    Raises:
        InvalidArgument: It cannot be built.
    """
    given = {"-f": bentofile, "--name": name, "--version": version, "--platform": platform}
    options = [part for key, value in given.items() if value for part in (key, str(value))]
    options += [f"--label={key}={value}" for key, value in (labels or {}).items()]
    options += [f"--arg={key}={value}" for key, value in (args or {}).items()]
    return _bento(_said("build", build_ctx or ".", *options))


def load(bento_identifier: str, working_dir: str | None = None) -> Service[Any]:
    """Import a project's service.

    Args:
        bento_identifier: ``module:Class``, ``file.py:Class``, or a folder with a ``service.py``.
        working_dir: The folder to import from; by default the working directory.

    Raises:
        UserError: There is no such service.
    """
    folder = Path(working_dir or ".")
    if (folder / bento_identifier).is_dir():
        return load_service("service", folder / bento_identifier)
    return load_service(bento_identifier, folder)


def _said(*arguments: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = run(*arguments)
    except Failed as error:
        raise InvalidArgument(str(error)) from None
    return document


def _bento(document: Mapping[str, Any], info: Mapping[str, Any] | None = None) -> Bento:
    created = document.get("created")
    return Bento(
        tag=Tag.from_str(document["tag"]),
        digest=document["digest"],
        creation_time=datetime.fromisoformat(created) if created else None,
        info=info or {},
    )


def _refuse(options: Mapping[str, Any]) -> None:
    given = sorted(key for key, value in options.items() if value is not None)
    if given:
        raise InvalidArgument(f"bentofn reads and writes one kind of file: leave out {given[0]}.")
