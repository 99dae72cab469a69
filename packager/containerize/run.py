"""`bentofn containerize`: from a bento of the store to an image somewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from bentofn.packager.containerize.compose import Composed, ImageChoices, compose
from bentofn.packager.containerize.docker_archive import write_docker_archive
from bentofn.packager.containerize.image_config import port_of
from bentofn.packager.containerize.layout import refuse_existing, write_layout, write_oci_archive
from bentofn.packager.containerize.names import Place, check_image_tag, full_name, parse_place
from bentofn.packager.containerize.push import Pushed, push_image
from bentofn.packager.home import Home
from bentofn.packager.lazy.whole import whole_bento
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError

Report = Callable[[str], None]
Wait = Callable[[float], None]


@dataclass(frozen=True)
class Output:
    """Where an image goes.

    Args:
        place: ``oci:DIR[:TAG]``, ``oci-archive:FILE``, ``docker-archive:FILE`` or a name in a
            registry; None: a file for ``docker load`` in the current folder.
        tags: Its names; by default the bento's tag.
        force: Whether what stands there may be replaced.
    """

    place: str | None = None
    tags: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True)
class Containerized:
    """An image that was written.

    Args:
        bento: Tag of the bento.
        composed: The image, and what it was made from.
        output: Where it is.
        names: Its names there.
        pushed: What was sent, for a registry.
        next_step: What to type next.
        notes: What the user should know, one sentence each.
    """

    bento: str
    composed: Composed
    output: str
    names: tuple[str, ...]
    pushed: Pushed | None
    next_step: str
    notes: tuple[str, ...] = ()


def containerize(
    home: Home,
    tag: str,
    choices: ImageChoices,
    output: Output,
    report: Report,
    wait: Wait = time.sleep,
) -> Containerized:
    """Make an image of a bento.

    Args:
        home: The home that has the bento.
        tag: ``name``, ``name:version`` or ``name:latest``.
        choices: What the image is like.
        output: Where it goes.
        report: Told what takes time.
        wait: Waits so many seconds between two attempts at a registry.

    Raises:
        UserError: There is no such bento, it cannot run on the base, or it cannot be written.
    """
    store = Store(home)
    entry = whole_bento(store, tag, report)
    place = parse_place(output.place or f"docker-archive:{entry.name}-{entry.version}.tar")
    names = tuple(check_image_tag(name) for name in output.tags) or (entry.tag.lower(),)
    if place.scheme in ("oci-archive", "docker-archive"):
        refuse_existing(place.path, force=output.force)
    pushed = None
    with store.using():
        composed = compose(home, store, entry, choices, report, wait)
        if place.scheme == "registry":
            names, pushed = _push(composed, place, output, choices, report, wait)
        else:
            report(f"Writing {place.text}")
            names = _write(composed, place, names, output)
    step = _next(place, names, port_of(composed.bento), choices)
    notes = _notes(composed)
    return Containerized(entry.tag, composed, place.text, names, pushed, step, notes)


def _write(
    composed: Composed, place: Place, names: tuple[str, ...], output: Output
) -> tuple[str, ...]:
    path = place.path.absolute()
    if place.scheme == "docker-archive":
        write_docker_archive(composed.image, path, names, force=output.force)
        return tuple(full_name(name) for name in names)
    names = (place.tag, *output.tags) if place.tag else names
    write = write_layout if place.scheme == "oci" else write_oci_archive
    write(composed.image, path, names, force=output.force)
    return names


def _push(
    composed: Composed,
    place: Place,
    output: Output,
    choices: ImageChoices,
    report: Report,
    wait: Wait,
) -> tuple[tuple[str, ...], Pushed]:
    assert place.reference is not None
    if place.reference.tag is not None and ":" in place.reference.tag:
        raise UserError(f"{place.text} names a digest; an image is pushed to a tag.")
    named = (place.reference.tag,) if place.reference.tag else ()
    tags = (*named, *(_tag_of(name) for name in output.tags)) or (composed.bento.version,)
    pushed = push_image(
        composed.image, place.reference, tags, report, insecure=choices.insecure, wait=wait
    )
    return tuple(str(replace(place.reference, tag=tag)) for tag in tags), pushed


def _tag_of(name: str) -> str:
    return full_name(name).rpartition(":")[2]


def _next(place: Place, names: tuple[str, ...], port: str, choices: ImageChoices) -> str:
    run = f"run --rm -p {port}:{port}"
    if choices.target == "aws-lambda" and place.scheme != "registry":
        return "bentofn containerize ... -o ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG"
    if place.scheme == "registry":
        return f"docker {run} {names[0]}"
    if place.scheme == "docker-archive":
        return f"docker load -i {place.path} && docker {run} {names[0]}"
    return f"podman {run} {place.scheme}:{place.path}:{names[0]}"


def _notes(composed: Composed) -> tuple[str, ...]:
    notes = []
    if composed.bento.docker.get("cuda_version"):
        notes.append(
            "CUDA's libraries are those of the bento's packages, the driver is the host's: run it "
            "with GPUs (docker run --gpus all)."
        )
    if composed.bento.secrets:
        names = ", ".join(composed.bento.secrets)
        notes.append(f"It needs these variables when it runs (-e NAME=...): {names}.")
    return tuple(notes)
