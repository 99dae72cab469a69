"""``conda.environment_yml``: the packages of an environment file of conda's.

Source: https://docs.conda.io/projects/conda/en/latest/user-guide/tasks/manage-environments.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from bentofn.packager.config.model import BuildConfig
from bentofn.runtime.errors import UserError

_KEYS = ("channels", "dependencies")
"""What counts of such a file; it also has a name, a prefix and variables of the environment."""

_FILE = re.compile(r"(?:-r|--requirement)[\s=]+(\S+)")
"""A line of ``pip`` that names a requirements file."""


def with_conda_file(project: Path, config: BuildConfig) -> BuildConfig:
    """The configuration with the packages of its ``conda.environment_yml``, if it names one.

    Args:
        project: The project's folder.
        config: What the build file says.

    Raises:
        UserError: The file is not there, or is none of conda's.
    """
    if config.conda_file is None:
        return config
    # Reading YAML takes modules that a build without such a file does without.
    from pydantic import ValidationError

    from bentofn.packager.config.conda import CondaSection, conda_notes
    from bentofn.packager.config.discovery import read_yaml

    path = project / config.conda_file
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise UserError(f"{config.conda_file} is no environment file of conda's: it is no mapping.")
    known = {key: raw[key] for key in _KEYS if raw.get(key) is not None}
    try:
        section = CondaSection.model_validate(known)
    except ValidationError as error:
        wrong = error.errors()[0]
        message = wrong["msg"].removeprefix("Value error, ")
        where = f"{wrong['loc'][0]}: " if wrong["loc"] else ""
        raise UserError(
            f"{config.conda_file} is no environment file of conda's: {where}{message}."
        ) from None
    python = config.python
    folder = Path(config.conda_file).parent
    requirements = section.requirements()
    files = [match[1] for match in map(_FILE.fullmatch, requirements) if match]
    notes = (f"{config.conda_file}: {note}" for note in conda_notes(section))
    return replace(
        config,
        python=replace(
            python,
            packages=(*python.packages, *(r for r in requirements if not _FILE.fullmatch(r))),
            requirements_files=(*python.requirements_files, *(str(folder / f) for f in files)),
        ),
        python_version=config.python_version or section.python_version(),
        warnings=(*config.warnings, *notes),
    )
