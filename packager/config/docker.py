"""The schema of a bentofile's ``docker`` section.

Source: https://docs.bentoml.com/en/latest/reference/bentoml/bento-build-options.html, and for
distros, CUDA versions and combinations BentoML 1.4's ``container/frontend/dockerfile/__init__.py``,
``bento/build_config.py`` and ``images.py``.
"""

from __future__ import annotations

import re

from pydantic import BaseModel, field_validator, model_validator

from bentofn.packager.config.image_options import ALPINE, NO_ALPINE
from bentofn.packager.config.model import DockerOptions
from bentofn.packager.config.section import SECTION, Strings, Text

DISTROS = ("debian", "ubi8", "amazonlinux")
"""BentoML's, without ``alpine``."""

CUDA_DISTROS = ("debian", "ubi8")

_CUDA = {
    "default": "12.8.1",
    **{"12": "12.8.1", "12.8": "12.8.1", "12.6": "12.6.3", "12.1": "12.1.1", "12.0": "12.0.1"},
    **{"11": "11.8.0", "11.8": "11.8.0", "11.7": "11.7.1", "11.6": "11.6.2", "11.4": "11.4.3"},
    "11.2": "11.2.2",
    **{
        full: full
        for full in (
            *("12.8.1", "12.8.0", "12.6.3", "12.6.2", "12.6.1", "12.6.0", "12.1.1", "12.1.0"),
            *("12.0.1", "12.0.0", "11.8.0", "11.7.1", "11.6.2", "11.4.3", "11.2.2"),
        )
    },
}
"""What a user may write to the version of an ``nvidia/cuda`` image."""

_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_:~=-]*")
"""A name of apt or yum, with a version or an architecture; nothing that a shell or an option parser
reads otherwise. https://www.debian.org/doc/debian-policy/ch-controlfields.html#source"""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class DockerSection(BaseModel):
    """``docker``: the image that ``bentofn containerize`` makes."""

    model_config = SECTION

    distro: str | None = None
    python_version: str | None = None
    cuda_version: str | None = None
    env: dict[Text, Text] | list[str] | str | None = None
    system_packages: Strings = []
    setup_script: str | None = None
    base_image: str | None = None
    dockerfile_template: str | None = None

    @field_validator("python_version", mode="before")
    @classmethod
    def _quoted(cls, value: object) -> object:
        if value == 3.1 and isinstance(value, float):
            raise ValueError('YAML reads 3.10 without quotes as 3.1; write "3.10"')
        return value

    @field_validator("distro")
    @classmethod
    def _known_distro(cls, value: str | None) -> str | None:
        if value not in (None, ALPINE, *DISTROS):
            raise ValueError(f"{value!r} is not one of {', '.join(DISTROS)}")
        return value

    @field_validator("cuda_version")
    @classmethod
    def _known_cuda(cls, value: str | None) -> str | None:
        if value in (None, "", "None"):
            return None
        if value not in _CUDA:
            raise ValueError(
                f"{value!r} is not one of {', '.join(_CUDA)}; torch brings its own CUDA libraries "
                "and needs none, other versions come with a docker.base_image"
            )
        return _CUDA[value]

    @field_validator("env")
    @classmethod
    def _variables(
        cls, value: dict[str, str] | list[str] | str | None
    ) -> dict[str, str] | list[str] | str | None:
        for name in _pairs(value):
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a variable")
        return value

    @field_validator("system_packages")
    @classmethod
    def _packages(cls, value: list[str]) -> list[str]:
        packages = [package for line in value for package in line.split()]
        for package in packages:
            if not _PACKAGE.fullmatch(package):
                raise ValueError(f"{package!r} is not the name of a package, such as libgomp1")
        return packages

    @field_validator("base_image")
    @classmethod
    def _one_image(cls, value: str | None) -> str | None:
        if value is not None and (not value.strip() or len(value.split()) > 1):
            raise ValueError(f"{value!r} is not an image, such as python:3.12-slim")
        return value.strip() if value else value

    @model_validator(mode="after")
    def _fitting(self) -> DockerSection:
        if self.base_image is None and self.cuda_version is not None:
            distro = self.distro or "debian"
            if distro not in CUDA_DISTROS:
                raise ValueError(
                    f"there is no image of {distro} with CUDA; "
                    f"docker.cuda_version takes docker.distro {' or '.join(CUDA_DISTROS)}"
                )
        return self


def docker_options(section: DockerSection) -> tuple[DockerOptions, list[str]]:
    """A checked section as plain data, and what the user should know, one sentence each."""
    warnings = []
    if section.base_image is not None and section.cuda_version is not None:
        warnings.append("docker.cuda_version is ignored, because docker.base_image is given.")
    if section.distro == ALPINE:
        warnings.append(f"docker.distro: {NO_ALPINE}")
    options = DockerOptions(
        distro=section.distro if section.distro != ALPINE else None,
        cuda_version=section.cuda_version if section.base_image is None else None,
        base_image=section.base_image,
        system_packages=tuple(section.system_packages),
        env=_pairs(section.env),
        env_file=section.env if isinstance(section.env, str) else None,
        setup_script=section.setup_script,
        dockerfile_template=section.dockerfile_template,
    )
    return options, warnings


def _pairs(env: dict[str, str] | list[str] | str | None) -> dict[str, str]:
    if isinstance(env, dict):
        return env
    pairs = {}
    for item in env if isinstance(env, list) else ():
        name, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"{item!r} is not NAME=value")
        pairs[name] = value
    return pairs
