"""`bentofn serve`: one instance of a project or a bento, in the foreground."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bentofn.commands.arguments import argument_options, read_arguments
from bentofn.packager.home import Home
from bentofn.runtime.arguments import set_arguments, with_arguments
from bentofn.runtime.errors import UserError
from bentofn.runtime.surface import STOCK

if TYPE_CHECKING:
    from bentofn.packager.store import Entry


@click.command()
@click.argument("target", default=".")
@click.option("--host", help="By default http.host of the service, or 127.0.0.1.")
@click.option(
    "-p", "--port", type=click.IntRange(0, 65535), envvar="PORT",
    help="0 takes a free one; by default the variable PORT, http.port of the service, or 3000.",
)  # fmt: skip
@click.option(
    "--working-dir", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder to import from, where TARGET is module:Class.",
)  # fmt: skip
@argument_options
def serve(
    target: str,
    host: str | None,
    port: int | None,
    working_dir: Path | None,
    arguments: tuple[str, ...],
    argument_file: Path | None,
) -> None:
    """Run one instance of TARGET: a project's folder, module:Class, a file, or a bento's tag."""
    given = read_arguments(arguments, argument_file)
    if Path(target).is_dir():
        _serve_project(Path(target), given, host, port)
    elif working_dir is not None or target.endswith(".py") or ".py:" in target:
        set_arguments(given)
        _serve_module(target, working_dir or Path(), host, port)
    elif Path(f"{target.split(':')[0].replace('.', '/')}.py").is_file():
        set_arguments(given)
        _serve_module(target, Path(), host, port)
    else:
        _serve_bento(target, given, host, port)


def _serve_project(
    project: Path, arguments: Mapping[str, Any], host: str | None, port: int | None
) -> None:
    from bentofn.packager.config.discovery import load_config

    config = load_config(project, Home.default())
    for env in config.envs:
        if env.value is not None:
            os.environ.setdefault(env.name, env.value)
    set_arguments({**config.arguments, **arguments})
    _serve_module(config.service, project / config.source_root, host, port)


def _serve_module(target: str, directory: Path, host: str | None, port: int | None) -> None:
    from bentofn.runtime import server

    if STOCK not in os.environ and (names := _needed_of_bentoml(target, directory)):
        click.echo(
            f"The service uses {', '.join(names)}, which bentofn does not carry: it is served with "
            "BentoML's own package.",
            err=True,
        )
        os.environ[STOCK] = "1"
    server.serve(target, directory.absolute(), host, port)


def _needed_of_bentoml(target: str, directory: Path) -> tuple[str, ...]:
    from bentofn.packager.code.served_names import needed_of_bentoml

    return needed_of_bentoml(directory, target)


def _serve_bento(
    tag: str, arguments: Mapping[str, Any], host: str | None, port: int | None
) -> None:
    from bentofn.adapters.local.interpreter import boot_command, check_platform, find_python
    from bentofn.packager.roots.standing import standing_root
    from bentofn.packager.store import Store

    home = Home.default()
    store = Store(home)
    entry = store.find("bento", tag)
    if entry is None:
        raise UserError(f"{tag} is neither a folder nor a bento of this machine; see bentofn list.")
    manifest = store.bento(entry)
    check_platform(manifest)
    python = find_python(manifest.python)
    root = standing_root(home, entry) or _make_root(home, entry)
    where = ["--host", host] if host is not None else []
    where += ["--port", str(port)] if port is not None else []
    command = boot_command(python, root, "serve", *where)
    environment = with_arguments({**manifest.envs, **os.environ}, arguments)
    os.execve(command[0], command, environment)


def _make_root(home: Home, entry: Entry) -> Path:
    from bentofn.packager.roots.materialise import materialise
    from bentofn.packager.roots.providers import tree_providers

    return materialise(home, entry, tree_providers(home))
