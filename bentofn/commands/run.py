"""`bentofn run`: a script of a project whose `import bentoml` is bentofn's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from bentofn.runtime import surface
from bentofn.runtime.errors import UserError


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-m", "is_module", is_flag=True, help="SCRIPT is a module's name, as of python -m.")
@click.argument("script")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(is_module: bool, script: str, arguments: tuple[str, ...]) -> None:
    """Run a Python SCRIPT with ARGUMENTS; what it saves with bentoml.models is in the model store.

    The interpreter is the one that bentofn is installed for.
    """
    if not is_module and not Path(script).is_file():
        raise UserError(f"There is no file {script}; of a module write `bentofn run -m {script}`.")
    path = os.environ.get("PYTHONPATH")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([surface.dropin(), *([path] if path else [])]),
    }
    option = ["-m"] if is_module else []
    os.execve(sys.executable, [sys.executable, *option, script, *arguments], environment)
