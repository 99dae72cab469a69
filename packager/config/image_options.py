"""What a service's ``image=`` adds to its build configuration."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bentofn.packager.config.model import BuildConfig, ImageOptions
from bentofn.runtime.errors import UserError

ORIGIN = "image="
"""Where its requirements stand, for messages."""

ALPINE = "alpine"
"""Its C library is musl, and a bento's packages are for glibc: debian is taken for it."""

NO_ALPINE = (
    "debian is taken in place of alpine, for whose C library (musl) a bento's packages are not "
    "built; system_packages are names of apt."
)


@dataclass(frozen=True)
class ImageSpec:
    """An image as the service says it; see :func:`bentofn.runtime.images.plain`.

    Args:
        base_image: The image to build on.
        distro: Whose package manager installs ``system_packages``.
        python_version: Minor version of the interpreter.
        commands: Commands that the image runs as root.
        system_packages: Names for the distribution's package manager.
        lines: Lines of a requirements file.
        pyprojects: pyproject.toml files whose dependencies count.
        uv_lock: Whether the project's ``uv.lock`` says the versions.
        locked: Whether versions stay until the requirements change.
        include: Patterns of files that the bento carries besides.
    """

    base_image: str | None = None
    distro: str | None = None
    python_version: str | None = None
    commands: tuple[str, ...] = ()
    system_packages: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    pyprojects: tuple[str, ...] = ()
    uv_lock: bool = False
    locked: bool = True
    include: tuple[str, ...] = ()

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any]) -> ImageSpec:
        """Of JSON types."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()
        }
        return cls(**values)


def check_image(spec: ImageSpec) -> None:
    """Make sure that an image can be made.

    Raises:
        UserError: Its distribution, its base image or a system package cannot be.
    """
    from pydantic import ValidationError

    from bentofn.packager.config.docker import DockerSection

    try:
        DockerSection(
            distro=spec.distro,
            base_image=spec.base_image,
            system_packages=list(spec.system_packages),
        )
    except ValidationError as error:
        wrong = error.errors()[0]
        message = wrong["msg"].removeprefix("Value error, ")
        raise UserError(f"{ORIGIN}: {'.'.join(map(str, wrong['loc']))}: {message}.") from None


def merge_image(config: BuildConfig, spec: ImageSpec, project: Path) -> BuildConfig:
    """A build configuration with what the image adds; of two words the build file's counts.

    Args:
        config: What the build file says.
        spec: What the service says.
        project: The project's folder.

    Raises:
        UserError: A pyproject.toml cannot be read.
    """
    docker = config.docker
    python = config.python
    lines = [*spec.lines]
    for name in spec.pyprojects:
        lines += _dependencies(project / name, name)
    is_debian = spec.distro in ("debian", ALPINE)
    packages = [name for line in spec.system_packages for name in line.split()]
    notes = (f"{ORIGIN}: {NO_ALPINE}",) if spec.distro == ALPINE else ()
    return replace(
        config,
        warnings=(*config.warnings, *notes),
        include=(*config.include, *spec.include),
        python_version=config.python_version or spec.python_version,
        python=replace(
            python,
            lines=tuple(lines),
            uv_lock=spec.uv_lock,
            is_locked=python.is_locked and spec.locked,
        ),
        docker=replace(
            docker,
            distro=docker.distro or (None if is_debian else spec.distro),
            base_image=docker.base_image or (None if docker.cuda_version else spec.base_image),
            system_packages=tuple(dict.fromkeys((*packages, *docker.system_packages))),
        ),
    )


def with_commands(image: ImageOptions, spec: ImageSpec) -> tuple[ImageOptions, tuple[str, ...]]:
    """An image that runs the service's commands, and what the user should know of them."""
    if not spec.commands:
        return image, ()
    if image.setup_script is not None:
        return image, (
            f"{ORIGIN}: its commands are not run, because docker.setup_script is given; put them "
            "there.",
        )
    script = "\n".join(("#!/bin/bash", "set -e", "cd /opt/bento/src", *spec.commands, ""))
    note = (
        f"{ORIGIN}: its commands run where an image is made (bentofn containerize, target modal), "
        "and not on this machine."
    )
    return replace(image, setup_script=script), (note,)


def _dependencies(path: Path, name: str) -> list[str]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{ORIGIN}: {name} cannot be read: {error}.") from None
    return [str(each) for each in document.get("project", {}).get("dependencies", ())]
