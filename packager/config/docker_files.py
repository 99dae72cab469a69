"""Reads the files that a ``docker`` section names, so that the bento holds what they say."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

from bentofn.packager.config.model import DockerOptions, ImageOptions
from bentofn.runtime.errors import UserError

LONGEST = 262_144
"""Bytes of a script or template at most: it stands in the manifest, which every start reads."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_image(project: Path, options: DockerOptions) -> ImageOptions:
    """What an image of the project's bento holds, with the content of its files.

    Args:
        project: The project's folder.
        options: The ``docker`` section.

    Raises:
        UserError: A file is missing, stands outside the project, or cannot be read.
    """
    script = _text(project, options.setup_script, "docker.setup_script")
    if script is not None and not script.startswith("#!"):
        raise UserError(
            f"docker.setup_script: {options.setup_script} does not say what runs it; "
            "its first line must be one such as #!/bin/bash or #!/usr/bin/env python."
        )
    return ImageOptions(
        distro=options.distro,
        cuda_version=options.cuda_version,
        base_image=options.base_image,
        system_packages=options.system_packages,
        setup_script=script,
        dockerfile_template=_text(
            project, options.dockerfile_template, "docker.dockerfile_template"
        ),
    )


def read_env(project: Path, options: DockerOptions) -> dict[str, str]:
    """The variables of a ``docker`` section, those of its file included.

    A ``${NAME}`` in the file stays as it is: a bento does not depend on who builds it.

    Raises:
        UserError: The file is missing, or a line of it is no ``NAME=value``.
    """
    text = _text(project, options.env_file, "docker.env")
    if text is None:
        return dict(options.env)
    from dotenv.parser import parse_stream

    found = {}
    for binding in parse_stream(StringIO(text)):
        if binding.key is None and not binding.error:
            continue
        if binding.error or binding.value is None or not _NAME.fullmatch(binding.key or ""):
            raise UserError(
                f"docker.env: {options.env_file} line {binding.original.line} is not NAME=value; "
                "a variable whose value only the deployment knows stands under envs, with its name "
                "alone."
            )
        found[str(binding.key)] = binding.value
    return found


def _text(project: Path, name: str | None, key: str) -> str | None:
    if name is None:
        return None
    path = (project / Path(name).expanduser()).resolve()
    if not path.is_relative_to(project.resolve()):
        raise UserError(f"{key}: {name} stands outside the project; copy it into {project}.")
    try:
        if path.stat().st_size > LONGEST:
            raise UserError(f"{key}: {name} is larger than {LONGEST // 1024} KiB.")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{key}: there is no file {name} in {project}.") from None
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{key}: {name} is not a UTF-8 text file.") from None
