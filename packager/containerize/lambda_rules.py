"""The rules of AWS Lambda's container images, which no other runtime has all of.

What Lambda refuses only when a function is made of the image is found here before it is pushed.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#images-reqs,
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, and what others met:
aws-lambda-roadmap#82 (an index), rules_aws#103 (``MissingParentDirectory``), rules_aws#145
(``UnsupportedImageLayerDetected``), rules_oci#645 (history).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bentofn.packager.containerize.blob import Layer
from bentofn.packager.containerize.facts import usual_base
from bentofn.packager.containerize.image import Image
from bentofn.packager.containerize.media import CONFIGS, INDEXES, MANIFESTS, TAR_GZIP, layer_type
from bentofn.packager.containerize.places import Source, media_type_of
from bentofn.packager.containerize.tarball import above
from bentofn.packager.containerize.tree import entry_path, read_entries
from bentofn.packager.store import Descriptor
from bentofn.runtime.errors import UserError

MAX_SIZE = 10 * 1000**3
"""Bytes of all layers, uncompressed. Lambda says "10 GB"; the smaller reading of it is safe."""

PLATFORMS = ("linux/amd64", "linux/arm64")


@dataclass(frozen=True)
class Violation:
    """Something that Lambda does not take.

    Args:
        rule: Its name; where Lambda has an error for it, that one.
        what: What breaks it, as a sentence.
    """

    rule: str
    what: str


def check_image(image: Image, name: str) -> list[Violation]:
    """What Lambda would not take of an image; all layers are read.

    Raises:
        UserError: A layer cannot be read.
    """
    manifest, config = json.loads(image.manifest.read()), json.loads(image.config.read())
    return [*_documents(manifest, config), *_contents(image.layers, name)]


def check_source(source: Source) -> list[Violation]:
    """What Lambda would not take of the image at a place: a layout, an archive or a registry.

    Args:
        source: Of :func:`bentofn.packager.containerize.places.open_place`.

    Raises:
        UserError: There is no image, or a layer cannot be read.
    """
    try:
        manifest = json.loads(source.top())
        if media_type_of(manifest) in INDEXES:
            return [
                Violation(
                    "ImageIndex",
                    f"{source.name} is an index of images, such as builders write for several "
                    "platforms or attestations, and Lambda takes one image.",
                )
            ]
        config = json.loads(source.blob(Descriptor.from_json(manifest["config"])).read())
        diff_ids = [str(each) for each in config["rootfs"]["diff_ids"]]
        blobs = [Descriptor.from_json(raw) for raw in manifest["layers"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{source.name} is not a container image; name one that is.") from error
    found = list(_documents(manifest, config))
    if len(diff_ids) == len(blobs) and all(layer_type(blob.media_type) for blob in blobs):
        layers = [
            Layer(source.blob(_as_oci(blob)), diff_id, "")
            for blob, diff_id in zip(blobs, diff_ids, strict=True)
        ]
        found += _contents(layers, source.name)
    return found


def refuse(violations: Sequence[Violation], name: str) -> None:
    """Fail if an image breaks a rule.

    Raises:
        UserError: It does; the message names the first.
    """
    if not violations:
        return
    more = f" ({len(violations) - 1} more)" if len(violations) > 1 else ""
    raise UserError(
        f"Lambda would refuse an image on {name}: {violations[0].what}{more} "
        f"Use another base image, such as {usual_base('3.12')}."
    )


def _documents(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Violation]:
    kind = media_type_of(manifest)
    if kind not in MANIFESTS:
        yield Violation("ManifestType", f"The manifest is {kind}, and Lambda takes images.")
    if manifest["config"].get("mediaType") not in CONFIGS:
        yield Violation("ConfigType", "The config is not that of a container image.")
    for raw in manifest["layers"]:
        if layer_type(str(raw.get("mediaType"))) != TAR_GZIP:
            yield Violation(
                "UnsupportedImageLayerDetected",
                f"The layer {raw.get('digest')} is {raw.get('mediaType')}, and only gzip is known "
                "to be taken.",
            )
    yield from _config(config, len(manifest["layers"]))


def _config(config: Mapping[str, Any], layers: int) -> Iterator[Violation]:
    platform = f"{config.get('os')}/{config.get('architecture')}"
    if platform not in PLATFORMS:
        yield Violation("Platform", f"The image is for {platform}, and Lambda runs Linux on "
                        "amd64 and arm64.")  # fmt: skip
    history = config.get("history") or ()
    if sum(not item.get("empty_layer") for item in history) != layers:
        yield Violation("History", f"The history does not have one entry for each of the {layers} "
                        "layers.")  # fmt: skip
    if len(config["rootfs"]["diff_ids"]) != layers:
        yield Violation("DiffIds", "The config names other layers than the manifest.")
    settings = config.get("config") or {}
    if not settings.get("Entrypoint") and not settings.get("Cmd"):
        yield Violation("NoCommand", "The image has neither an entry point nor a command.")


def _contents(layers: Sequence[Layer], name: str) -> Iterator[Violation]:
    total = 0
    for layer in layers:
        seen: set[str] = set()
        for info, _ in read_entries(layer, name):
            total += info.size
            path = entry_path(info)
            if path is None:
                continue
            parent = path.rpartition("/")[0]
            if parent and parent not in seen:
                yield Violation(
                    "MissingParentDirectory",
                    f"{path} of the layer {layer.blob.descriptor.digest} has no entry for the "
                    f"folder {parent} before it.",
                )
                seen.update(above(path))
            if path in seen and not info.isdir():
                yield Violation("DuplicateEntry", f"{path} stands twice in a layer.")
            seen.add(path)
    if total > MAX_SIZE:
        yield Violation(
            "ImageSize", f"The layers hold {total / 1e9:.1f} GB, and Lambda takes 10 GB at most."
        )


def _as_oci(blob: Descriptor) -> Descriptor:
    return Descriptor(layer_type(blob.media_type) or "", blob.digest, blob.size)
