"""Why a package is in a resolution: the packages that need it."""

from __future__ import annotations

import re
from pathlib import Path

from bentofn.packager.environment.requirements import Requirements
from bentofn.packager.environment.resolve import wheel_options
from bentofn.packager.environment.target import Target
from bentofn.packager.environment.uv import run_uv
from bentofn.packager.home import Home


def needed_by(
    name: str, project: Path, requirements: Requirements, target: Target, home: Home
) -> list[str]:
    """The packages that need another one directly, sorted.

    Args:
        name: The package that is needed.
        project: The project's folder, whose uv configuration counts.
        requirements: What is resolved.
        target: What it is resolved for.
        home: The home that is written to, for the message of a full disk.

    Raises:
        UserError: The requirements cannot be resolved.
    """
    resolved = run_uv(
        [
            *("compile", "-", "--no-header", "--quiet", "--annotation-style", "line"),
            *("--python", str(target.interpreter), *wheel_options(target)),
        ],
        requirements.settings,
        folder=project,
        what="The requirements cannot be satisfied",
        home=home,
        stdin="\n".join(requirements.packages) + "\n",
    )
    found = re.search(rf"^{re.escape(name)}\b[^#\n]*# via (.+)$", resolved, re.MULTILINE)
    return sorted(found[1].split(", ")) if found else []
