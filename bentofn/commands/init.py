"""`bentofn init`: write a new project from a template."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import click

from bentofn.commands.output import json_option, print_json
from bentofn.runtime.errors import UserError

TEMPLATES = ("hello", "embeddings", "embeddings-onnx")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "__init__.py")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--template", type=click.Choice(TEMPLATES), default="hello", show_default=True)
@json_option
def init(directory: Path, template: str, as_json: bool) -> None:
    """Write a new project into DIRECTORY."""
    write_template(template, directory)
    files = sorted(str(path.relative_to(directory)) for path in directory.rglob("*.*"))
    if as_json:
        print_json({"directory": str(directory.absolute()), "files": files})
        return
    click.echo(f"Wrote {', '.join(files)} to {directory}.")
    if (directory / "README.md").is_file():
        click.echo(f"Next: {directory / 'README.md'} says where its weights come from.")
    else:
        click.echo(f"Next: cd {directory}; bentofn serve   or   bentofn deploy --target local")


def write_template(name: str, directory: Path) -> None:
    """Copy a template's files into a new or empty directory.

    Raises:
        UserError: The directory holds files already.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(f"{directory} exists and is not an empty directory; name another one.")
    with resources.as_file(resources.files("bentofn.templates") / name) as source:
        shutil.copytree(source, directory, ignore=_LEFT_OUT, dirs_exist_ok=True)
