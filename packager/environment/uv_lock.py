"""The versions that a project's ``uv.lock`` says."""

from __future__ import annotations

from pathlib import Path

from bentofn.packager.environment.index_settings import IndexSettings
from bentofn.packager.environment.names import requirement_name
from bentofn.packager.environment.runtime_requirements import RUNTIME_REQUIREMENTS
from bentofn.packager.environment.uv import run_uv
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

_EXPORT = ("--frozen", "--no-hashes", "--no-emit-project", "--no-annotate", "--no-header")


def locked_versions(project: Path, settings: IndexSettings, home: Home) -> tuple[str, ...]:
    """Constraints, one a line; what the runtime needs has versions of its own.

    Args:
        project: The project's folder.
        settings: Where packages come from.
        home: The home that is written to.

    Raises:
        UserError: There is no ``uv.lock``, or uv cannot read it.
    """
    if not (project / "uv.lock").is_file():
        raise UserError(f"image=: there is no uv.lock in {project}; run `uv lock` there.")
    what = f"The lock {project / 'uv.lock'} cannot be read"
    said = run_uv(_EXPORT, settings, folder=project, what=what, home=home, command=("export",))
    own = {requirement_name(each) for each in (*RUNTIME_REQUIREMENTS, "bentoml", "bentofn")}
    lines = (line.strip() for line in said.splitlines())
    return tuple(line for line in lines if line and requirement_name(line) not in own | {""})
