"""Packages a bento for AWS Lambda.

A zip's layers are unpacked to ``/opt`` and its function to ``/var/task``, so a bento is spread over
both. ``/opt/bento`` holds what a change of code leaves as it is, each in a layer of its own: the
packages, their bytecode, the runtime, the models. The function holds ``bento.json``, the project's
code and the handler that puts all of it together.

Source: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from bentofn.packager.containerize.bento_layers import image_layers
from bentofn.packager.containerize.blob import Layer
from bentofn.packager.containerize.compose import ImageChoices, compose
from bentofn.packager.containerize.tree import read_entries
from bentofn.packager.environment.target import Target, find_target, interpreter_identity
from bentofn.packager.files import temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.lambda_.function import HANDLER, SOURCE, function_files
from bentofn.packager.lambda_.libraries import libraries_layer
from bentofn.packager.lambda_.parts import FUNCTION, LAYERS, LambdaPackage, Part, Profile
from bentofn.packager.lambda_.rules import architecture_of, check_zip, runtime_of
from bentofn.packager.lambda_.zipped import LEVEL, ZipEntry, write_zip
from bentofn.packager.layer_cache import cached_layer, layer_key
from bentofn.packager.lazy.whole import whole_bento
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.blobs import hash_stream
from bentofn.packager.store.descriptors import LAYER_KIND
from bentofn.runtime.aws_lambda.image import HANDLER as IMAGE_HANDLER
from bentofn.runtime.layout import ARCHIVE_PREFIX

ZIP_RULES = 1
"""Raised when the same layers would make another archive."""

ZIP = "application/zip"
UNZIPPED = "io.bentofn.lambda.unzipped"

KINDS = {"env": "environment", "bytecode": "bytecode", "runtime": "runtime", "model": "models"}
"""Kind of a bento's layer to the part that it goes into."""

Report = Callable[[str], None]


def package(
    home: Home,
    tag: str,
    profile: Profile,
    report: Report,
    *,
    choices: ImageChoices | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> LambdaPackage:
    """Package a bento; what was packaged before is there at once.

    Args:
        home: The home that has the bento.
        tag: ``name``, ``name:version`` or ``name:latest``.
        profile: ``zip``, which SnapStart takes, or ``image``, which may hold 10 GB.
        report: Told what takes time.
        choices: Of an image: its base, if not the default.
        wait: Waits so many seconds between two attempts at a registry.

    Raises:
        UserError: There is no such bento, or Lambda would refuse it; the message says which rule.
    """
    store = Store(home)
    entry = whole_bento(store, tag, report)
    bento = store.bento(entry)
    runtime, architecture = runtime_of(bento), architecture_of(bento)
    with store.using():
        if profile == "image":
            chosen = replace(choices or ImageChoices(), target="aws-lambda")
            composed = compose(home, store, entry, chosen, report, wait)
            return LambdaPackage(
                "Image", IMAGE_HANDLER, runtime, architecture, (), composed.image, bento.envs
            )
        parts = tuple(_parts(home, store, entry, report))
    made = LambdaPackage("Zip", HANDLER, runtime, architecture, parts, environment=bento.envs)
    check_zip(made, entry.tag)
    return made


def _parts(home: Home, store: Store, entry: Entry, report: Report) -> Iterator[Part]:
    layers = store.descriptors(entry)
    bento = store.bento(entry)
    target = find_target(bento.python, bento.platform)
    code = [layer for layer in layers if layer.annotations.get(LAYER_KIND) == "code"]
    yield _function(home, store, store.config(entry), code, target)
    groups: dict[str, list[Descriptor]] = {name: [] for name in LAYERS}
    for layer in layers:
        if layer not in code:
            groups[KINDS[layer.annotations[LAYER_KIND]]].append(layer)
    groups["runtime"].append(libraries_layer(home, store, target))
    for name, group in groups.items():
        if group:
            yield _layer(home, store, name, group, report)


def _function(
    home: Home, store: Store, config: bytes, code: Sequence[Descriptor], target: Target
) -> Part:
    def entries() -> Iterator[ZipEntry]:
        yield _entry("bento.json", config)
        with temporary_directory(home.directory(home.cache)) as scratch:
            own = function_files(target, scratch)
        for path, data in own.items():
            yield _entry(path, data)
        yield from _entries(image_layers(home, store, code), f"{ARCHIVE_PREFIX}/")

    own = [SOURCE, interpreter_identity(target)]
    inputs = [own, config.decode(), [layer.digest for layer in code]]
    return _part(home, store, FUNCTION, inputs, entries)


def _layer(
    home: Home, store: Store, name: str, group: Sequence[Descriptor], report: Report
) -> Part:
    above = f"{ARCHIVE_PREFIX.partition('/')[0]}/"  # Lambda unpacks layers to /opt

    def entries() -> Iterator[ZipEntry]:
        report(f"Packing the layer {name}")
        yield from _entries(image_layers(home, store, group), above)

    inputs = [[layer.digest, dict(layer.annotations)] for layer in group]
    return _part(home, store, name, inputs, entries)


def _part(
    home: Home,
    store: Store,
    name: str,
    inputs: Sequence[object],
    entries: Callable[[], Iterator[ZipEntry]],
) -> Part:
    def write() -> Descriptor:
        with store.blobs.stage() as staged:
            unzipped = write_zip(entries(), staged.file)
            staged.file.seek(0)
            digest, size = hash_stream(staged.file)
            store.blobs.commit(staged, digest)
        return Descriptor(ZIP, digest, size, {UNZIPPED: str(unzipped)})

    made = cached_layer(home, store, layer_key("lambda-zip", ZIP_RULES, LEVEL, name, inputs), write)
    unzipped = int(made.annotations[UNZIPPED])
    return Part(name, made.digest, made.size, unzipped, store.blob_path(made.digest))


def _entries(layers: Iterator[Layer], above: str) -> Iterator[ZipEntry]:
    """The files of layers, below a path that is taken off theirs."""
    for layer in layers:
        for info, content in read_entries(layer, layer.created_by):
            path = info.name.removeprefix(above)
            if info.issym():
                target = info.linkname.encode()
                yield ZipEntry(path, io.BytesIO(target), len(target), 0o777, is_link=True)
            elif content is not None:
                yield ZipEntry(path, content, info.size, info.mode)


def _entry(path: str, data: bytes) -> ZipEntry:
    return ZipEntry(path, io.BytesIO(data), len(data))
