"""`bentofn run`: a script of a project whose `import bentoml` is bentofn's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from bentofn.runtime import surface


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(script: Path, arguments: tuple[str, ...]) -> None:
    """Run a Python SCRIPT with ARGUMENTS; what it saves with bentoml.models is in the model store.

    The interpreter is the one that bentofn is installed for.
    """
    path = os.environ.get("PYTHONPATH")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([surface.dropin(), *([path] if path else [])]),
    }
    os.execve(sys.executable, [sys.executable, str(script), *arguments], environment)
