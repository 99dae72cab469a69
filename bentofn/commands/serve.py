"""`bentofn serve`: one instance of a project or a bento, in the foreground."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bentofn.commands.arguments import argument_options, read_arguments
from bentofn.commands.elsewhere import elsewhere
from bentofn.packager.home import Home
from bentofn.runtime.arguments import set_arguments, with_arguments
from bentofn.runtime.errors import UserError
from bentofn.runtime.supervisor.plan import ALONE, STARTED_IN
from bentofn.runtime.surface import STOCK

if TYPE_CHECKING:
    from bentofn.packager.store import Entry

_BENTO_FILE = "bento.yaml"
"""What BentoML writes beside the code of a bento, which is in ``src``."""

_FOLDERS = {"BENTOFN_HOME", "BENTOFN_STATE", "BENTOML_HOME"}
"""Variables that may name a folder relative to the one where a command is given."""


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
@click.option(
    "--reload", is_flag=True, help="Start again when the code changes (pip install watchfiles)."
)
@click.option(
    "--development", is_flag=True,
    help="One process for all services of a project, whatever workers they ask for.",
)  # fmt: skip
@argument_options
@click.option("--production", is_flag=True, hidden=True, expose_value=False)
@elsewhere(
    flags={},
    values={
        "--env": "it serves in the environment that it is installed in",
        "--api-workers": "write @bentoml.service(workers=...)",
        "--timeout": 'write @bentoml.service(traffic={"timeout": ...})',
        "--backlog": "write @bentoml.service(backlog=...)",
        "--ssl-certfile": 'write @bentoml.service(ssl={"enabled": True, "certfile": ...})',
        "--ssl-keyfile": 'write @bentoml.service(ssl={"enabled": True, "keyfile": ...})',
    },
)
def serve(
    target: str,
    host: str | None,
    port: int | None,
    working_dir: Path | None,
    reload: bool,
    development: bool,
    arguments: tuple[str, ...],
    argument_file: Path | None,
) -> None:
    """Run one instance of TARGET: a folder of a project or of a bento of BentoML, module:Class, a
    file, or a bento's tag.
    """
    given = read_arguments(arguments, argument_file)
    if reload:
        from bentofn.commands.reload import serve_again_on_change

        folder = Path(target)
        serve_again_on_change(folder if folder.is_dir() else working_dir or Path())
        return
    if development:
        os.environ[ALONE] = "1"
    if (Path(target) / _BENTO_FILE).is_file():
        _serve_bento_of_bentoml(Path(target), given, host, port)
    elif Path(target).is_dir():
        _serve_project(Path(target), given, host, port)
    elif working_dir is not None or target.endswith(".py") or ".py:" in target:
        set_arguments(given)
        _serve_module(target, working_dir or Path(), host, port)
    elif _is_module(target.partition(":")[0]):
        set_arguments(given)
        _serve_module(target, Path(), host, port)
    else:
        _serve_bento(target, given, host, port)


def _is_module(name: str) -> bool:
    path = Path(name.replace(".", "/"))
    return path.with_name(f"{path.name}.py").is_file() or (path / "__init__.py").is_file()


def _serve_bento_of_bentoml(
    folder: Path, arguments: Mapping[str, Any], host: str | None, port: int | None
) -> None:
    from bentofn.packager.bentoml.documents import read_document

    bento = read_document(folder / _BENTO_FILE)
    if not isinstance(bento.get("service"), str):
        raise UserError(f"{folder / _BENTO_FILE} names no service; build the bento again.")
    if (folder / "models").is_dir():
        os.environ["BENTOML_HOME"] = str(folder.absolute())
    for env in bento.get("envs") or ():
        if env.get("value") and env.get("stage") != "build":
            os.environ.setdefault(str(env.get("name")), str(env["value"]))
    set_arguments({**(bento.get("args") or {}), **arguments})
    _serve_module(bento["service"], folder / "src", host, port)


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
    project = directory.absolute()
    _enter(project)
    server.serve(target, project, host, port)


def _enter(project: Path) -> None:
    """Work in a project's folder, as BentoML does: services open files beside their code."""
    for name in _FOLDERS & os.environ.keys():
        os.environ[name] = str(Path(os.environ[name]).expanduser().absolute())
    os.environ[STARTED_IN] = str(Path.cwd())
    os.chdir(project)


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
