"""The prefetch artifact: the list and the pack of a bento, as an OCI artifact that refers to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.after_build import StoredBento
from bentofn.packager.files import atomic_write, temporary_directory
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import PREFETCH, TITLE
from bentofn.packager.store.referrers import (
    Referrer,
    put_referrer,
    read_content,
    referrers,
    subject_descriptor,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json

LIST_TYPE = "application/vnd.bentofn.prefetch.list.v1+json"
PACK_TYPE = "application/vnd.bentofn.prefetch.pack.v1+zstd"

TRACE_VERSION = 5
"""Of what is traced and how; another one traces again."""


@dataclass(frozen=True)
class Prefetch:
    """What to fetch first.

    Args:
        trace: The list, as JSON.
        packs: The blobs with its pages.
        size: Bytes of the artifact: its manifest and all blobs.
    """

    trace: bytes
    packs: tuple[Descriptor, ...]
    size: int


def find_prefetch(store: Store, entry: Entry) -> Prefetch | None:
    """A bento's prefetch artifact, or None where it has none.

    Raises:
        UserError: It is damaged.
    """
    found = referrers(store, entry.digest, PREFETCH)
    return read_prefetch(store, found[-1]) if found else None


def read_prefetch(store: Store, referrer: Referrer) -> Prefetch:
    """Read a prefetch artifact whose blobs are in the store.

    Raises:
        UserError: It is not made as one is, or damaged.
    """
    first, *others = [layer.media_type for layer in referrer.layers]
    if first != LIST_TYPE or set(others) - {PACK_TYPE}:
        raise UserError(
            f"The artifact {referrer.manifest.digest} says what to fetch first in a way that this "
            "bentofn does not know; pull without --lazy, or use the bentofn that built it."
        )
    size = referrer.manifest.size + sum(layer.size for layer in referrer.layers)
    return Prefetch(read_content(store, referrer), referrer.layers[1:], size)


def early_parts(store: Store, referrer: Referrer) -> tuple[str, ...]:
    """Digests of the parts of models that a prefetch artifact wants fetched as they are.

    Raises:
        UserError: The artifact is damaged.
    """
    from bentofn.packager.prefetch.trace import Trace

    return Trace.from_json(read_prefetch(store, referrer).trace).early


def trace_step(stored: StoredBento) -> tuple[str, ...]:
    """The step of a build with ``--slim traced``: give the bento its prefetch artifact.

    It depends on what importing the service can see: a change inside a function keeps the trace.
    """
    if not stored.inputs.slimming.traced:
        return ()
    if stored.inputs.target.is_foreign:
        return ("What a first answer needs cannot be traced for another platform than this.",)
    if referrers(stored.store, stored.entry.digest, PREFETCH):
        return ()
    try:
        layers = _cached(stored)
    except UserError as error:
        return (
            f"What a first answer needs could not be traced: {error}; a lazy pull of this bento "
            "fetches page by page.",
        )
    put_referrer(stored.store, subject_descriptor(stored.entry), PREFETCH, layers, {}, replace=True)
    return ()


def _cached(stored: StoredBento) -> tuple[Descriptor, ...]:
    path = stored.home.cache / "traces" / f"{_key(stored)}.json"
    try:
        found = tuple(Descriptor.from_json(raw) for raw in json.loads(path.read_bytes()))
        if all(stored.store.has(blob.digest) for blob in found):
            return found
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    layers = _make(stored)
    stored.home.directory(path.parent)
    atomic_write(path, canonical_json([layer.to_json() for layer in layers]))
    return layers


def _make(stored: StoredBento) -> tuple[Descriptor, ...]:
    from bentofn.packager.prefetch.tracer import LIST, pack_paths, run_tracer

    stored.report("Tracing what a first answer needs")
    home, store = stored.home, stored.store
    interpreter = stored.inputs.target.interpreter
    with temporary_directory(home.directory(home.cache)) as scratch:
        run_tracer(home, stored.entry, interpreter, _level(stored), scratch)
        packs = (_put(store, p, PACK_TYPE, f"pack of {p.stem}") for p in pack_paths(scratch))
        return _put(store, scratch / LIST, LIST_TYPE, "list"), *packs


def _level(stored: StoredBento) -> int:
    from bentofn.packager.prefetch.pack import DEV_LEVEL, RELEASE_LEVEL

    return RELEASE_LEVEL if stored.inputs.options.release else DEV_LEVEL


def _put(store: Store, path: Path, media_type: str, title: str) -> Descriptor:
    blob = store.put_file(path, media_type)
    return Descriptor(blob.media_type, blob.digest, blob.size, {TITLE: f"prefetch {title}"})


def _key(stored: StoredBento) -> str:
    from bentofn.packager.code.import_surface import import_surface
    from bentofn.packager.layer_cache import layer_key

    inputs = stored.inputs
    files = inputs.tree.files
    python = {file.path: file.source.read_bytes() for file in files if file.path.endswith(".py")}
    others = {path: digest for path, digest in inputs.tree.digests.items() if path not in python}
    kept = [
        layer.digest
        for layer in stored.store.layers(stored.entry)
        if layer.kind in ("env", "bytecode", "model")
    ]
    surface = import_surface(python, others)
    seen = [surface, kept, inputs.runtime_digest, inputs.envs]
    return layer_key("trace", TRACE_VERSION, _level(stored), *seen)
