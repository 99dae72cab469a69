"""A project's requirements as one list: files followed, options and the SDK left out."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bentofn.packager.config.model import PythonOptions
from bentofn.packager.environment.index_settings import IndexSettings, expand, has_credentials, mask
from bentofn.packager.environment.names import requirement_name
from bentofn.packager.environment.repositories import (
    Repository,
    parse_repository,
    wheel_folders,
)
from bentofn.packager.environment.target import Target
from bentofn.packager.environment.wheels import wheel_version
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

PROVIDED = ("bentofn", "bentoml")
"""The distributions that the runtime layer provides; of the second it has the names."""


@dataclass(frozen=True)
class Requirements:
    """What an environment must satisfy.

    Args:
        packages: Requirements, one a line.
        constraints: Constraints, one a line.
        settings: Where packages come from.
        wheels: Wheel files of the project.
        repositories: Git repositories, from which wheels are built.
        notes: What was left out, one sentence each.
        build_packages: Requirements of what runs only while the bento is built, one a line.
    """

    packages: tuple[str, ...]
    constraints: tuple[str, ...]
    settings: IndexSettings
    wheels: tuple[Path, ...] = ()
    repositories: tuple[Repository, ...] = ()
    notes: tuple[str, ...] = ()
    build_packages: tuple[str, ...] = ()


def read_requirements(
    project: Path,
    options: PythonOptions,
    settings: IndexSettings,
    *,
    keeps_bentoml: bool = False,
    pins: Sequence[str] = (),
    needs: Sequence[str] = (),
) -> Requirements:
    """Collect a project's requirements.

    Args:
        project: The project's folder.
        options: What the bentofile says.
        settings: What pip is configured to use.
        keeps_bentoml: Whether the service needs BentoML's own package.
        pins: Constraints besides, of a ``uv.lock``.
        needs: What the runtime needs besides, unless the project says something of it.

    Raises:
        UserError: A file is missing, or a requirement cannot be locked (a local folder, a
            repository, a URL with a password).
    """
    reader = _Reader(
        settings.with_options(
            index_url=_location(options.index_url or "", "python.index_url"),
            extra_index_urls=tuple(
                _location(url, "python.extra_index_url") for url in options.extra_index_urls
            ),
            find_links=tuple(
                _absolute(_location(item, "python.find_links"), project)
                for item in options.find_links
            ),
            trusted_hosts=options.trusted_hosts,
            no_index=options.no_index,
            prerelease=options.prerelease,
            only_binary=_names(options.only_binary),
            no_binary=_names(options.no_binary),
        ),
        PROVIDED[:1] if keeps_bentoml else PROVIDED,
    )
    for package in options.packages:
        reader.requirement(package, "python.packages")
    for name in options.requirements_files:
        reader.file(project / name, name)
    for line in options.lines:
        reader.line(line, project, "image=")
    for pin in pins:
        reader.requirement(pin, "uv.lock", constraint=True)
    for name in options.constraints_files:
        reader.file(project / name, name, constraint=True)
    if keeps_bentoml and not any(requirement_name(each) == "bentoml" for each in reader.packages):
        reader.packages.append("bentoml")
    listed = {requirement_name(each) for each in reader.packages}
    reader.packages += [each for each in needs if requirement_name(each) not in listed]
    builder = _Reader(reader.settings)
    for package in options.build_packages:
        builder.requirement(package, "python.build_packages")
    wheels = [(project / wheel).resolve() for wheel in options.wheels]
    reader.packages += [wheel_version(wheel) for wheel in wheels]
    folders = tuple(str(wheel.parent) for wheel in wheels)
    return Requirements(
        packages=tuple(dict.fromkeys(reader.packages)),
        constraints=tuple(dict.fromkeys(reader.constraints)),
        settings=reader.settings.with_options(find_links=folders),
        wheels=tuple(wheels),
        repositories=tuple(dict.fromkeys(reader.repositories)),
        notes=tuple(dict.fromkeys(reader.notes)),
        build_packages=tuple(dict.fromkeys(builder.packages)),
    )


def with_wheel_folders(requirements: Requirements, target: Target, home: Home) -> Requirements:
    """Requirements whose settings name the folders of the repositories' wheels."""
    folders = wheel_folders(requirements.repositories, target, home)
    return replace(requirements, settings=requirements.settings.with_options(find_links=folders))


class _Reader:
    def __init__(self, settings: IndexSettings, provided: Sequence[str] = PROVIDED) -> None:
        self.settings = settings
        self.provided = provided
        self.packages: list[str] = []
        self.constraints: list[str] = []
        self.notes: list[str] = []
        self.repositories: list[Repository] = []
        self._open: list[Path] = []

    def requirement(self, text: str, origin: str, *, constraint: bool = False) -> None:
        line = text.strip()
        name = requirement_name(line)
        if name in self.provided:
            if not constraint:
                self.notes.append(f"{origin}: {name} is left out; every bento carries its runtime.")
            return
        repository = parse_repository(_location(line, origin))
        if repository is not None and not constraint:
            self.repositories.append(repository)
            return
        _refuse_unlockable(line, origin)
        if not name:
            raise UserError(f"{origin}: {line!r} is not a requirement, such as numpy>=1.26.")
        (self.constraints if constraint else self.packages).append(line)

    def file(self, path: Path, origin: str, *, constraint: bool = False) -> None:
        path = path.resolve()
        if path in self._open:
            raise UserError(f"{origin} includes itself.")
        self._open.append(path)
        for line in _lines(path, origin):
            self.line(line, path.parent, origin, constraint=constraint)
        self._open.pop()

    def line(self, line: str, folder: Path, origin: str, *, constraint: bool = False) -> None:
        if line.startswith("-"):
            self._option(line, folder, origin, constraint)
        else:
            self.requirement(line, origin, constraint=constraint)

    def _option(self, line: str, folder: Path, origin: str, constraint: bool) -> None:
        option, value = _split_option(line, origin)
        value = _location(value, origin)
        if option in ("-r", "--requirement"):
            self.file(folder / value, value, constraint=constraint)
        elif option in ("-c", "--constraint"):
            self.file(folder / value, value, constraint=True)
        elif option in ("-e", "--editable"):
            _refuse_unlockable(f"./{value}", origin)
        elif option == "--no-index":
            self.settings = self.settings.with_options(no_index=True)
        elif option == "--pre":
            self.settings = self.settings.with_options(prerelease=True)
        elif option in ("-f", "--find-links"):
            links = (_absolute(value, folder),)
            self.settings = self.settings.with_options(find_links=links)
        elif option in ("-i", "--index-url"):
            self.settings = self.settings.with_options(index_url=value)
        elif option == "--extra-index-url":
            self.settings = self.settings.with_options(extra_index_urls=(value,))
        elif option == "--only-binary":
            self.settings = self.settings.with_options(only_binary=_names((value,)))
        elif option == "--no-binary":
            self.settings = self.settings.with_options(no_binary=_names((value,)))
        elif option in ("--require-hashes", "--prefer-binary"):
            pass  # hashes are always required, and wheels always preferred
        elif option == "--trusted-host":
            self.settings = self.settings.with_options(trusted_hosts=(value,))
        else:
            self.notes.append(f"{origin}: the option {option} is not applied.")


def _lines(path: Path, origin: str) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(
            f"The requirements file {origin} does not exist; looked for {path}."
        ) from None
    except (IsADirectoryError, UnicodeDecodeError):
        raise UserError(f"The requirements file {origin} is not a UTF-8 text file.") from None
    if "\0" in text:
        raise UserError(f"The requirements file {origin} is not a UTF-8 text file.")
    # pip removes comments after joining lines: https://pip.pypa.io/en/stable/reference/
    # requirements-file-format/
    for line in text.replace("\r\n", "\n").replace("\\\n", " ").split("\n"):
        stripped = re.sub(r"(^|\s)#.*$", "", line).strip()
        if stripped:
            yield " ".join(stripped.split())


def _split_option(line: str, origin: str) -> tuple[str, str]:
    try:
        words = shlex.split(line)
    except ValueError:
        raise UserError(f"{origin}: {mask(line)!r} has a quotation mark that never ends.") from None
    option, equals, value = words[0].partition("=")
    if not equals and not option.startswith("--") and len(option) > 2:
        return option[:2], option[2:]
    return option, value if equals else " ".join(words[1:])


def _refuse_unlockable(line: str, origin: str) -> None:
    target = line.partition("@")[2].strip() if "@" in line else line
    if re.match(r"(git|hg|svn|bzr)\+", line) or re.match(r"(git|hg|svn|bzr)\+", target):
        raise UserError(
            f"{origin}: a repository ({mask(line)}) is written as git+https://HOST/PATH@REF, or "
            "git+ssh://git@HOST/PATH; of others build a wheel and list that under python.wheels."
        )
    if line.startswith((".", "/", "~", "-e", "file:")) or target.startswith("file:"):
        raise UserError(
            f"{origin}: {line} is a local path; put its code into the project, "
            "or build a wheel of it and list that under python.wheels."
        )
    _location(line, origin)


def _location(text: str, origin: str) -> str:
    """Fill in environment variables, after making sure that the file itself holds no secret."""
    if has_credentials(text):
        raise UserError(
            f"{origin}: {mask(text)} carries a password, which would end up in the bento; "
            "put it into ~/.netrc or pip's configuration, or write ${NAME} of a variable."
        )
    return expand(text, os.environ)


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for value in values for name in value.replace(",", " ").split())


def _absolute(link: str, folder: Path) -> str:
    return link if "://" in link else str((folder / Path(link).expanduser()).resolve())
