"""`bentofn build`: a project becomes a bento."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click

from bentofn.commands.arguments import argument_options, read_arguments
from bentofn.commands.elsewhere import elsewhere
from bentofn.commands.keys import FILE, read_signer
from bentofn.commands.labels import parse_labels
from bentofn.commands.output import (
    json_option,
    print_json,
    print_table,
    progress,
)
from bentofn.packager.build import BuildOptions, BuildResult
from bentofn.packager.build import build as build_project
from bentofn.packager.home import Home
from bentofn.packager.sizes import human_size
from bentofn.packager.slim.level import LEVELS
from bentofn.runtime.errors import UserError

BENTO_FILE = "bento.yaml"
"""The file that a bento of BentoML's has at its top."""


@click.command()
@click.argument("target", default=".")
@click.option(
    "-f", "--bentofile", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The build file; by default bentofile.yaml or pyproject.toml of the project.",
)  # fmt: skip
@click.option("--name", help="The bento's name.")
@click.option("--version", help="Its version; by default from the digest of its content.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="May be repeated.")
@click.option(
    "--python-version", metavar="3.X",
    help="The bento's Python; by default docker.python_version of the bentofile, or this one's.",
)  # fmt: skip
@click.option(
    "--platform", metavar="OS/ARCH",
    help="What it is for, such as linux/arm64; by default this machine.",
)  # fmt: skip
@click.option(
    "--gpu/--cpu", default=None,
    help="Take torch's CUDA or CPU build; by default what the service's resources ask for.",
)  # fmt: skip
@click.option("--upgrade", is_flag=True, help="Resolve the requirements to the newest again.")
@click.option(
    "--slim", type=click.Choice(LEVELS), default="safe", show_default=True,
    help="Leave out of the packages what no request needs (tests, debug symbols, headers...); "
    "traced also notes what a first answer needs, so that a lazy pull fetches that first.",
)  # fmt: skip
@click.option(
    "--release", is_flag=True,
    help="Compress the packages as far as is sensible; takes minutes, once for the same packages.",
)  # fmt: skip
@click.option(
    "--allow-secret", "allow_secrets", multiple=True, metavar="PATH",
    help="Pack this file although it looks like a secret (env:NAME: a variable).",
)  # fmt: skip
@click.option(
    "--allow-pickle", "allow_pickles", multiple=True, metavar="PATH",
    help="Pack this pickle although loading it could run any code; of a bento of BentoML also "
    "the name of a model.",
)  # fmt: skip
@argument_options
@click.option("--sign-key", type=FILE, metavar="KEY.pem", help="Sign the bento with this key.")
@elsewhere(
    flags={
        "--push": "run `bentofn push NAME REGISTRY/REPOSITORY` then",
        "--containerize": "run `bentofn containerize NAME` then",
    },
    values={"--output": "take the tag of --json", "-o": "take the tag of --json"},
)
@json_option
def build(
    target: str,
    bentofile: Path | None,
    name: str | None,
    version: str | None,
    labels: tuple[str, ...],
    python_version: str | None,
    platform: str | None,
    gpu: bool | None,
    upgrade: bool,
    slim: str,
    release: bool,
    allow_secrets: tuple[str, ...],
    allow_pickles: tuple[str, ...],
    arguments: tuple[str, ...],
    argument_file: Path | None,
    sign_key: Path | None,
    as_json: bool,
) -> None:
    """Turn TARGET (by default the current directory) into a bento.

    It is a project's folder, or a service of the current directory as module:Class or file.py:Class
    instead of the one that the build file names. A folder that is a bento of BentoML's is built
    again, with its models.
    """
    project, service = _split(target)
    options = BuildOptions(
        name=name,
        version=version,
        labels=parse_labels(labels),
        bentofile=bentofile,
        python=python_version,
        platform=platform,
        gpu=gpu,
        upgrade=upgrade,
        slim=slim,
        release=release,
        allow_secrets=allow_secrets,
        allow_pickles=allow_pickles,
        arguments=read_arguments(arguments, argument_file),
        signer=None if sign_key is None else read_signer(sign_key),
        service=service,
    )
    with progress() as report, ExitStack() as stack:
        home = Home.default()
        if (project / BENTO_FILE).is_file():
            from bentofn.packager.bentoml.build import as_project

            project, options = stack.enter_context(as_project(project, home, options, report))
        result = build_project(project, home, options, report)
    for warning in result.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if as_json:
        print_json(build_document(result))
        return
    print_table(
        ("LAYER", "KIND", "SIZE", "DIGEST"),
        [(e.name, e.kind, human_size(e.size), e.digest[:19]) for e in result.layers],
    )
    if result.slimmed:
        click.echo()
        print_table(
            ("SLIMMED", "FILES", "SAVED"),
            [(e.rule, e.files, human_size(e.bytes)) for e in result.slimmed],
        )
        click.echo()
    verb = "Nothing changed:" if result.reused else "Built"
    click.echo(f"{verb} {result.tag} in {result.seconds:.2f} s")


def _split(target: str) -> tuple[Path, str | None]:
    """A project's folder, and the service if the target names one."""
    if Path(target).is_dir():
        return Path(target), None
    source, colon, name = target.partition(":")
    if source.endswith(".py"):
        return Path(), os.path.relpath(source) + colon + name
    if colon:
        return Path(), target
    raise UserError(
        f"There is no directory {target}; name a project's folder, or a service as file.py:Class."
    )


def build_document(result: BuildResult) -> dict[str, object]:
    """A build's result as plain data."""
    return {
        "tag": result.tag,
        "digest": result.digest,
        "reused": result.reused,
        "seconds": round(result.seconds, 3),
        "warnings": list(result.warnings),
        "steps": {name: round(seconds, 3) for name, seconds in result.steps.items()},
        "layers": [
            {"name": e.name, "kind": e.kind, "digest": e.digest, "size": e.size}
            for e in result.layers
        ],
        "slimmed": [asdict(saving) for saving in result.slimmed],
    }
