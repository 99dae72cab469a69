"""``bentoml.images``: what a service says about the image that it needs; a build reads it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from bentofn.runtime.errors import BentoMLConfigException

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


class Image:
    """What a bento's environment holds. Every method gives the image back, to be chained.

    Files are noted by their names and read by the build: a bento need not carry them. The
    attributes may be changed, as code written for BentoML does.
    Source: _bentoml_sdk/images.py of BentoML 1.4

    Args:
        base_image: The image to build on.
        distro: Whose package manager installs ``system_packages``.
        python_version: Minor version of the interpreter; by default the one that runs.
        commands: Commands to run before the Python packages are there.
        lock_python_packages: Whether versions stay until the requirements change.
        pack_git_packages: Accepted for BentoML's sake.
        python_requirements: Lines of a requirements file.
        post_commands: Commands to run afterwards.
        build_include_paths: Files that the bento carries besides.
    """

    def __init__(
        self,
        base_image: str = "",
        distro: str = "debian",
        python_version: str = RUNNING,
        commands: Iterable[str] = (),
        lock_python_packages: bool = True,
        pack_git_packages: bool = True,
        python_requirements: str = "",
        post_commands: Iterable[str] = (),
        build_include_paths: Iterable[str] = (),
    ) -> None:
        self.base_image = base_image
        self.distro = distro
        self.python_version = python_version
        self.commands = list(commands)
        self.lock_python_packages = lock_python_packages
        self.pack_git_packages = pack_git_packages
        self.python_requirements = python_requirements
        self.post_commands = list(post_commands)
        self.build_include_paths = list(build_include_paths)
        self.scripts: dict[str, str] = {}
        self._packages: list[str] = []
        self._pyprojects: list[str] = []
        self._uv_lock = False
        self._after_packages = bool(python_requirements)

    def __repr__(self) -> str:
        said = {name: value for name, value in plain(self).items() if value}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in said.items())})"

    def system_packages(self, *packages: str) -> Image:
        """Add packages of the distribution."""
        self._packages += packages
        return self

    def requirements_file(self, file_path: str) -> Image:
        """Add what a requirements file lists.

        Raises:
            BentoMLConfigException: A command that runs after the packages came before.
        """
        self._add_lines(f"-r {_in_project(file_path)}")
        return self

    def pyproject_toml(self, file_path: str = "pyproject.toml") -> Image:
        """Add the dependencies of a pyproject.toml; raises as :meth:`requirements_file`."""
        self._add_lines()
        self._pyprojects.append(_in_project(file_path))
        return self

    def python_packages(self, *packages: str) -> Image:
        """Add requirements, as pip writes them.

        Raises:
            BentoMLConfigException: There are none, or a command that runs after the packages came
                before.
        """
        if not packages:
            raise BentoMLConfigException("No packages provided")
        self._add_lines(*packages)
        return self

    def uv_lock(self) -> Image:
        """Take the versions of the project's ``uv.lock``."""
        self._uv_lock = True
        return self

    def run(self, command: str) -> Image:
        """Add a command that the image runs as root."""
        (self.post_commands if self._after_packages else self.commands).append(command)
        return self

    def run_script(self, script: str) -> Image:
        """Add a script of the project that the image runs as root."""
        path = _in_project(script)
        target = f"/opt/bento/src/{path}"
        self.scripts[path] = target
        return self.run(f"chmod +x {shlex.quote(target)} && {shlex.quote(target)}")

    def build_include(self, *file_paths: str) -> Image:
        """Add files or patterns that the bento carries besides."""
        self.build_include_paths += file_paths
        return self

    def _add_lines(self, *lines: str) -> None:
        if self.post_commands:
            raise BentoMLConfigException("Can't separate adding python requirements")
        self.python_requirements += "".join(f"{line.strip()}\n" for line in lines)
        self._after_packages = True


class PythonImage(Image):
    """The image's older name."""


def plain(image: Image) -> Mapping[str, Any]:
    """An image as JSON types.

    Returns:
        ``base_image``, ``distro``, ``python_version`` (None for the one that runs), ``commands``
        in their order, ``system_packages``, ``lines`` of a requirements file, ``pyprojects``,
        ``uv_lock``, ``locked`` and ``include``.
    """
    lines = [line.strip() for line in image.python_requirements.splitlines()]
    return {
        "base_image": image.base_image or None,
        "distro": image.distro or None,
        "python_version": image.python_version if image.python_version != RUNNING else None,
        "commands": [*image.commands, *image.post_commands],
        "system_packages": list(image._packages),
        "lines": [line for line in lines if line],
        "pyprojects": list(image._pyprojects),
        "uv_lock": image._uv_lock,
        "locked": image.lock_python_packages,
        "include": list(image.build_include_paths),
    }


def _in_project(path: str) -> str:
    """A file's path, relative to the project where it stands inside of it."""
    path = os.path.expanduser(path)  # noqa: PTH111 - pathlib's import costs a cold start
    here = os.getcwd()  # noqa: PTH109
    return os.path.relpath(path, here) if path.startswith(here + os.sep) else path
