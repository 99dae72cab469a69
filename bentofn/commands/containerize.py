"""`bentofn containerize`: a bento becomes a container image."""

from __future__ import annotations

from pathlib import Path

import click

from bentofn.commands.output import json_option, print_json, print_table, progress
from bentofn.packager.containerize.compose import ImageChoices
from bentofn.packager.containerize.run import Containerized, Output
from bentofn.packager.containerize.run import containerize as containerize_bento
from bentofn.packager.home import Home
from bentofn.packager.lazy.whole import whole_bento
from bentofn.packager.sizes import human_size
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError

TARGETS = ("oci", "aws-lambda")


@click.command()
@click.argument("tag")
@click.option(
    "--base", metavar="IMAGE",
    help="The image to build on: a name in a registry, oci:DIR[:TAG] or oci-archive:FILE; "
    "by default the bentofile's, or python:X.Y-slim.",
)  # fmt: skip
@click.option(
    "-o", "--output", metavar="PLACE",
    help="oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, or a name in a registry to push "
    "to; by default a file for `docker load` in the current folder.",
)  # fmt: skip
@click.option(
    "-t", "--image-tag", "tags", multiple=True, metavar="NAME[:TAG]",
    help="The image's name; by default the bento's tag. May be repeated.",
)  # fmt: skip
@click.option(
    "--target", type=click.Choice(TARGETS), default="oci", show_default=True,
    help="aws-lambda keeps the rules of Lambda's container images.",
)  # fmt: skip
@click.option(
    "--dockerfile", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Write a Dockerfile and its context to this folder instead, for a builder of yours.",
)  # fmt: skip
@click.option("--platform", metavar="OS/ARCH", help="Must be the bento's; `build` chooses it.")
@click.option("--run-as-root", is_flag=True, help="Run the service as root, not as user 1034.")
@click.option("--force", is_flag=True, help="Replace the file, or the image of that name.")
@click.option(
    "--insecure", is_flag=True, help="Plain HTTP, also for a registry that is not on this machine."
)
@click.option("--backend", hidden=True)
@click.option("--opt", multiple=True, hidden=True)
@click.option("--enable-features", multiple=True, hidden=True)
@json_option
def containerize(
    tag: str,
    base: str | None,
    output: str | None,
    tags: tuple[str, ...],
    target: str,
    dockerfile: Path | None,
    platform: str | None,
    run_as_root: bool,
    force: bool,
    insecure: bool,
    backend: str | None,
    opt: tuple[str, ...],
    enable_features: tuple[str, ...],
    as_json: bool,
) -> None:
    """Put the bento TAG on a base image; no Docker is needed."""
    _refuse_builders(backend, opt, enable_features)
    choices = ImageChoices(
        base, platform, run_as_root, "aws-lambda" if target == "aws-lambda" else "oci", insecure
    )
    if dockerfile is not None:
        _write_dockerfile(tag, dockerfile, choices, as_json)
        return
    with progress() as report:
        done = containerize_bento(Home.default(), tag, choices, Output(output, tags, force), report)
    if as_json:
        print_json(_document(done))
        return
    _show(done)


def _write_dockerfile(tag: str, target: Path, choices: ImageChoices, as_json: bool) -> None:
    from bentofn.packager.containerize.dockerfile import write_dockerfile

    home = Home.default()
    store = Store(home)
    entry = whole_bento(store, tag)
    with progress() as report, store.using():
        report(f"Writing {target}")
        write_dockerfile(home, store, entry, choices.base, target, root_user=choices.root_user)
    step = f"docker build -t {entry.tag} {target}"
    if as_json:
        print_json(
            {"bento": entry.tag, "dockerfile": str(target / "Dockerfile"), "next_step": step}
        )
        return
    click.echo(f"Wrote {target / 'Dockerfile'} and its context for {entry.tag}")
    click.echo(f"Next: {step}")


def _refuse_builders(backend: str | None, opt: tuple[str, ...], features: tuple[str, ...]) -> None:
    given = {"--backend": backend, "--opt": opt, "--enable-features": features}
    for name, value in given.items():
        if value:
            raise UserError(
                f"{name} is for builders such as Docker's, and bentofn composes images itself; "
                "leave it out, or write a Dockerfile for your builder with --dockerfile DIR."
            )


def _show(done: Containerized) -> None:
    image = done.composed.image
    own = image.layers[len(done.composed.base.layers) :]
    print_table(
        ("LAYER", "SIZE", "DIGEST"),
        [
            (layer.created_by, human_size(blob.size), blob.digest[:19])
            for layer in own
            for blob in [layer.blob.descriptor]
        ],
    )
    click.echo()
    click.echo(f"Made an image of {done.bento} on {done.composed.base.name}")
    click.echo(f"  {image.digest} ({human_size(image.size)}) as {', '.join(done.names)}")
    click.echo(f"  in {done.output}")
    if done.pushed is not None:
        pushed = done.pushed
        click.echo(
            f"  {human_size(pushed.moved)} sent, {human_size(pushed.mounted)} taken from another "
            f"repository, {human_size(pushed.skipped)} were there"
        )
    click.echo(f"Next: {done.next_step}")
    for note in done.notes:
        click.echo(note)


def _document(done: Containerized) -> dict[str, object]:
    image, base = done.composed.image, done.composed.base
    return {
        "bento": done.bento,
        "base": {"name": base.name, "digest": base.digest},
        "digest": image.digest,
        "platform": image.platform,
        "size": image.size,
        "output": done.output,
        "names": list(done.names),
        "layers": [
            {
                "digest": layer.blob.descriptor.digest,
                "diff_id": layer.diff_id,
                "size": layer.blob.descriptor.size,
                "media_type": layer.blob.descriptor.media_type,
                "created_by": layer.created_by or base.name,
            }
            for layer in image.layers
        ],
        "pushed": None
        if done.pushed is None
        else {
            "moved_bytes": done.pushed.moved,
            "mounted_bytes": done.pushed.mounted,
            "skipped_bytes": done.pushed.skipped,
        },
        "secrets": list(done.composed.bento.secrets),
        "next_step": done.next_step,
        "notes": list(done.notes),
    }
