"""`bentofn client`: write a typed client of a service."""

from __future__ import annotations

from pathlib import Path

import click

from bentofn.adapters.local.state import State
from bentofn.commands.output import Report, json_option, print_json, progress
from bentofn.packager.clients.contract import read_contract
from bentofn.packager.clients.header import MARK
from bentofn.packager.clients.interface import Described
from bentofn.packager.clients.openapi import MALFORMED, fetch_document
from bentofn.packager.clients.python import python_client
from bentofn.packager.clients.typescript import typescript_client
from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest

_WRITERS = {"python": python_client, "ts": typescript_client}
_HEAD = 1000
"""Bytes in which a generated file says that it is one."""


@click.command()
@click.argument("source", default=".")
@click.option("--lang", type=click.Choice(sorted(_WRITERS)), required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="By default stdout.")
@click.option("--function", "only", help="Which function of SOURCE's serverless.yml.")
@json_option
def client(source: str, lang: str, output: Path | None, only: str | None, as_json: bool) -> None:
    """Write a typed client of SOURCE: a deployed function, a bento's tag, a project's folder, or
    the URL of a service that runs.
    """
    with progress() as report:
        described = _described(source, only, Home.default(), report)
    if not described.operations:
        raise UserError(f"{described.name} has no endpoints, so there is nothing to call.")
    try:
        text = _WRITERS[lang](described)
    except MALFORMED as error:
        if not _is_url(source):
            raise
        raise UserError(f"What {source} says of its endpoints cannot be read: {error}.") from error
    if output is not None:
        _write(output, text)
    names = sorted(each.name for each in described.operations)
    if as_json:
        where = {"source": text} if output is None else {"file": str(output.absolute())}
        print_json({"service": described.name, "lang": lang, "endpoints": names, **where})
    elif output is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"Wrote {output}, a client of {described.name}: {', '.join(names)}.")
    left_out = [each for each in described.operations if each.parameters and lang == "python"]
    for each in left_out:
        click.echo(
            f"Warning: {each.name} is left out: bentofn's clients cannot fill the parameters of "
            f"its route {each.route}.",
            err=True,
        )


def _described(source: str, only: str | None, home: Home, report: Report) -> Described:
    if _is_url(source):
        return fetch_document(source)
    store = Store(home)
    if Path(source).is_dir():
        from bentofn.commands.sources import declared, to_deploy

        found = declared(source, only, {}, home, report)
        if len(found) > 1:
            listed = ", ".join(each.name for each in found)
            raise UserError(
                f"{source} declares several functions; name one of: --function {listed}."
            )
        tag = to_deploy(found[0], {}, home, report).bento
        return read_contract(store.bento(store.get("bento", tag)).contract)
    if "/" in source or source.startswith("."):
        raise UserError(
            f"There is no folder {source}; name a folder, a function, a bento or a URL."
        )
    deployed = next((each for each in State(home).live() if each.spec.name == source), None)
    bento = source if deployed is None else deployed.spec.bento
    if deployed is not None and bento.startswith("/"):
        return read_contract(BentoManifest.read(BentoRoot(Path(bento)).manifest).contract)
    return read_contract(store.bento(store.get("bento", bento)).contract)


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _write(path: Path, text: str) -> None:
    """Write a client in the place of an earlier one.

    Raises:
        UserError: There is a file that is none.
    """
    if path.exists() and MARK not in _beginning(path):
        raise UserError(f"{path} exists and was not written by this command; name another file.")
    atomic_write(path, text.encode())


def _beginning(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(_HEAD).decode(errors="replace")
