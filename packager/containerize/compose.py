"""Composes a bento and a base image into an image; nothing is written but caches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from bentofn.packager.config.model import ImageOptions
from bentofn.packager.containerize.base import Base, read_base
from bentofn.packager.containerize.bento_layers import has_native_code, image_layers
from bentofn.packager.containerize.default_base import cuda_variables, default_base
from bentofn.packager.containerize.facts import check_facts, find_facts, usual_base
from bentofn.packager.containerize.gzipped import gzip_layer
from bentofn.packager.containerize.image import Image, make_image
from bentofn.packager.containerize.image_config import FUNCTION, SERVE, Start, image_config
from bentofn.packager.containerize.lambda_rules import check_image, refuse
from bentofn.packager.containerize.names import parse_place
from bentofn.packager.containerize.own_layers import manifest_layer, user_layer
from bentofn.packager.containerize.places import open_place
from bentofn.packager.containerize.system_layers import Ground, system_layers
from bentofn.packager.environment.target import find_target
from bentofn.packager.home import Home
from bentofn.packager.lambda_.libraries import CLIENT, EVENTS, libraries_layer
from bentofn.packager.registry.reference import Reference
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest

Report = Callable[[str], None]
Wait = Callable[[float], None]
Target = Literal["oci", "aws-lambda"]


@dataclass(frozen=True)
class ImageChoices:
    """What the command line says of an image.

    Args:
        base: The base image; None takes the bento's.
        platform: The platform that the image must be for; None takes the bento's.
        root_user: Whether the service runs as root.
        target: ``oci``, or ``aws-lambda`` for an image that keeps Lambda's rules.
        insecure: Whether plain HTTP is used for a registry that is not on this machine.
    """

    base: str | None = None
    platform: str | None = None
    root_user: bool = False
    target: Target = "oci"
    insecure: bool = False


@dataclass(frozen=True)
class Composed:
    """A composed image.

    Args:
        image: The image.
        base: What it stands on.
        bento: What it holds.
    """

    image: Image
    base: Base
    bento: BentoManifest


def compose(
    home: Home,
    store: Store,
    entry: Entry,
    choices: ImageChoices,
    report: Report,
    wait: Wait = time.sleep,
) -> Composed:
    """Put a bento on a base image.

    Args:
        home: The home, for caches.
        store: Its store, which also takes what is fetched of the base.
        entry: The bento.
        choices: What the command line says.
        report: Told what takes time.
        wait: Waits so many seconds between two attempts at a registry.

    Raises:
        UserError: The bento cannot run on the base, or something cannot be read.
    """
    bento = store.bento(entry)
    options = ImageOptions.from_plain(bento.docker)
    _check_platform(bento, choices.platform)
    variables = cuda_variables(options, bento.lock)
    if options.dockerfile_template:
        raise UserError(
            f"{entry.tag} has a docker.dockerfile_template, which only a builder can follow; "
            f"write its Dockerfile with: bentofn containerize {entry.tag} --dockerfile DIR."
        )
    chosen = choices.base or default_base(options, bento.python, bento.platform)
    report(f"Reading the base image {chosen}")
    source = open_place(parse_place(chosen), store, report, insecure=choices.insecure, wait=wait)
    base = read_base(source, bento.platform)
    system = system_layers(Ground(home, store, entry, bento, base, report), options)
    facts = find_facts(base, system, bento.python, home)
    descriptors = store.descriptors(entry)
    native = facts.libc == "musl" and has_native_code(store, descriptors)
    python = check_facts(facts, base.name, bento.python, native=native)
    report("Composing the layers")
    own = [] if choices.root_user else [user_layer(facts)]
    manifest = manifest_layer(store.config(entry), entry.tag)
    layers = [*system, *own, *image_layers(home, store, descriptors), manifest]
    command: tuple[str, ...] = SERVE
    if choices.target == "aws-lambda":
        if facts.libc == "musl":
            raise UserError(
                f"{base.name} has the C library musl, and Lambda's client is for glibc; use "
                f"another base, such as {usual_base(bento.python)}."
            )
        command = FUNCTION
        client = libraries_layer(
            home, store, find_target(bento.python, bento.platform), (*CLIENT, *EVENTS)
        )
        layers[-1:-1] = image_layers(home, store, [client])
        report("Compressing the layers with gzip, as Lambda wants them")
        base = replace(base, layers=tuple(gzip_layer(home, store, each) for each in base.layers))
        layers = [gzip_layer(home, store, layer) for layer in layers]
    start = Start(python, choices.root_user, variables, command)
    config = image_config(bento, entry.digest, base, layers, start)
    labels = config["config"]["Labels"]
    annotations = {k: v for k, v in labels.items() if k.startswith("org.opencontainers.image.")}
    image = make_image(config, [*base.layers, *layers], bento.platform, _mounts(base), annotations)
    if choices.target == "aws-lambda":
        report("Checking Lambda's rules")
        refuse(check_image(image, base.name), base.name)
    return Composed(image, base, bento)


def _check_platform(bento: BentoManifest, wanted: str | None) -> None:
    if wanted is not None and wanted != bento.platform:
        raise UserError(
            f"{bento.tag} was built for {bento.platform}, so there is no image of it for {wanted}; "
            f"build it with: bentofn build --platform {wanted}."
        )


def _mounts(base: Base) -> dict[str, Reference]:
    """Where a registry has the base's layers already."""
    if base.registry is None:
        return {}
    return {layer.blob.descriptor.digest: base.registry for layer in base.layers}
