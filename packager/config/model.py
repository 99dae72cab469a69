"""A project's build configuration, read and checked: plain data, cheap to import."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelChoice:
    """A model that the bento carries.

    Args:
        tag: ``name``, ``name:version`` or ``name:latest``.
        alias: Name that the service may use instead.
    """

    tag: str
    alias: str | None = None


@dataclass(frozen=True)
class EnvironmentVariable:
    """A variable of the service's environment.

    Args:
        name: Its name.
        value: Its value; None for a secret, whose value only the deployment knows.
    """

    name: str
    value: str | None = None


@dataclass(frozen=True)
class PythonOptions:
    """The ``python`` section of a bentofile, with ``[project].dependencies`` of a pyproject.

    Args:
        packages: Requirements, as pip writes them.
        requirements_files: Requirement files, relative to the project.
        constraints_files: Constraint files, relative to the project.
        index_url: The main package index, instead of the one that pip is set up with.
        extra_index_urls: More indexes.
        find_links: Folders or pages of wheels.
        trusted_hosts: Hosts whose certificate is not checked.
        no_index: Whether no index is asked at all.
        prerelease: Whether versions before a release are taken (pip's ``--pre``).
        only_binary: Packages that are only taken as wheels, or ``:all:`` (pip's).
        no_binary: Packages that are built from their source, or ``:all:`` (pip's).
        wheels: Wheel files of the project.
        is_locked: Whether versions stay until the requirements change. Otherwise each build takes
            the newest that fit; what a bento holds is exact all the same.
        lines: Lines of a requirements file besides, which an image says.
        uv_lock: Whether the project's ``uv.lock`` says versions too.
        build_packages: Requirements that only the export of models needs; not in the bento.
    """

    packages: tuple[str, ...] = ()
    requirements_files: tuple[str, ...] = ()
    constraints_files: tuple[str, ...] = ()
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False
    prerelease: bool = False
    only_binary: tuple[str, ...] = ()
    no_binary: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()
    is_locked: bool = True
    lines: tuple[str, ...] = ()
    uv_lock: bool = False
    build_packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class DockerOptions:
    """The ``docker`` section of a bentofile, checked; ``python_version`` stands in the build's.

    Args:
        distro: ``debian``, ``ubi8`` or ``amazonlinux``: whose package manager installs
            ``system_packages``, and which base image is taken where none is given; None: debian.
        cuda_version: Full version of an ``nvidia/cuda`` image, such as ``12.8.1``.
        base_image: The image to build on.
        system_packages: Names for ``apt-get install`` or ``yum install``.
        env: Variables.
        env_file: A file of variables instead, relative to the project.
        setup_script: A script to run in the image, relative to the project.
        dockerfile_template: A Jinja2 template of a Dockerfile, relative to the project.
    """

    distro: str | None = None
    cuda_version: str | None = None
    base_image: str | None = None
    system_packages: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    env_file: str | None = None
    setup_script: str | None = None
    dockerfile_template: str | None = None


@dataclass(frozen=True)
class ImageOptions:
    """What ``BentoManifest.docker`` says: all that an image needs besides the bento's layers.

    Its variables are in ``BentoManifest.envs`` and its Python is ``BentoManifest.python``. No file
    is looked up: scripts and templates stand here as text.

    Args:
        distro: As in :class:`DockerOptions`.
        cuda_version: As in :class:`DockerOptions`; None where ``base_image`` is given.
        base_image: As in :class:`DockerOptions`.
        system_packages: As in :class:`DockerOptions`; installed in ``base_image`` too, as root.
        setup_script: Text of a script that starts with ``#!``, run as root after the packages are
            installed and the bento is in place, as BentoML does.
        dockerfile_template: Text of a Jinja2 template that extends BentoML's Dockerfile.
    """

    distro: str | None = None
    cuda_version: str | None = None
    base_image: str | None = None
    system_packages: tuple[str, ...] = ()
    setup_script: str | None = None
    dockerfile_template: str | None = None

    def to_plain(self) -> dict[str, Any]:
        """The options that are set, as JSON types: ``BentoManifest.docker``."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value}

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any]) -> ImageOptions:
        """Read ``BentoManifest.docker``; what it does not know it leaves out."""
        known = {item.name for item in dataclasses.fields(cls)}
        return cls(**_tuples({key: raw[key] for key in raw.keys() & known}))


@dataclass(frozen=True)
class BuildConfig:
    """What goes into a bento.

    Args:
        origin: The file that it was read from, relative to the project.
        service: Where the service is: ``module:Class`` or ``file.py:Class``.
        name: The bento's name; None takes the service's.
        description: The user's text, or ``file:PATH`` of it.
        labels: The user's labels.
        include: gitignore patterns of the files that go in.
        exclude: gitignore patterns of those that do not.
        models: The models it carries besides those that the service declares.
        envs: Its environment variables.
        python: Its Python dependencies.
        python_version: Minor version of its interpreter; None takes the one that builds.
        docker: The ``docker`` section.
        allow_secrets: Files that may hold what looks like secrets, relative to the project, and
            ``env:NAME`` of such variables.
        allow_pickles: Files that may hold any pickle.
        arguments: What the service reads with ``use_arguments``, as JSON types.
        source_root: Directory below the project whose content becomes the code's root:
            ``""`` or ``"src"``.
        conda_file: conda's environment file whose packages are added, relative to the project.
        warnings: What was accepted but is not applied, one sentence each.
    """

    origin: str
    service: str
    name: str | None = None
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    models: tuple[ModelChoice, ...] = ()
    envs: tuple[EnvironmentVariable, ...] = ()
    python: PythonOptions = PythonOptions()
    python_version: str | None = None
    docker: DockerOptions = DockerOptions()
    allow_secrets: tuple[str, ...] = ()
    allow_pickles: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    source_root: str = ""
    conda_file: str | None = None
    warnings: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """The configuration as JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any]) -> BuildConfig:
        """The inverse of :meth:`to_plain`, of what :mod:`json` gives back."""
        values = _tuples(raw)
        values["models"] = tuple(ModelChoice(**item) for item in raw["models"])
        values["envs"] = tuple(EnvironmentVariable(**item) for item in raw["envs"])
        values["python"] = PythonOptions(**_tuples(raw["python"]))
        values["docker"] = DockerOptions(**_tuples(raw["docker"]))
        return cls(**values)


def _tuples(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
