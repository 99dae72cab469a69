"""A bento's layers as the parts of a Lambda zip, each written once."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from bentofn.packager.containerize.bento_layers import image_layers
from bentofn.packager.containerize.tree import read_entries
from bentofn.packager.environment.target import Target, interpreter_identity
from bentofn.packager.files import atomic_write, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.lambda_.fetched import deflate, target_of
from bentofn.packager.lambda_.function import SOURCE, function_files
from bentofn.packager.lambda_.parts import FUNCTION, Part
from bentofn.packager.lambda_.system import glibc_of, wheel_of
from bentofn.packager.lambda_.zipped import LEVEL, ZipEntry, write_zip
from bentofn.packager.layer_cache import cached_layer, find_layer, layer_key
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.blobs import hash_stream
from bentofn.runtime.aws_lambda.fetched import LIST
from bentofn.runtime.layout import ARCHIVE_PREFIX
from bentofn.runtime.manifest import canonical_json

ZIP_RULES = 1
"""Raised when the same layers would make another archive."""

ZIP = "application/zip"
ZLIB = "application/zlib"
UNZIPPED = "io.bentofn.lambda.unzipped"

_OPT = f"{ARCHIVE_PREFIX.partition('/')[0]}/"
"""Lambda unpacks layers to /opt, which their paths need not say."""

Layers = Sequence[Descriptor]


@dataclass(frozen=True)
class Listing:
    """What is in some layers.

    Args:
        sizes: Path below ``/opt`` to bytes.
        libraries: Package to the C library that it needs.
        has_plugins: Whether a package has plugins for pydantic.
    """

    sizes: dict[str, int]
    libraries: dict[str, tuple[int, int]]
    has_plugins: bool = False

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any]) -> Listing:
        """The inverse of :func:`dataclasses.asdict`, of what :mod:`json` gives back."""
        libraries = {name: (major, minor) for name, (major, minor) in raw["libraries"].items()}
        return cls(dict(raw["sizes"]), libraries, bool(raw["has_plugins"]))


@dataclass(frozen=True)
class Contents:
    """Makes parts of a bento's layers.

    Args:
        home: Where it is remembered what was made.
        store: Holds the layers, and takes the parts.
        report: Told what takes time.
    """

    home: Home
    store: Store
    report: Callable[[str], None]

    def function(
        self, config: bytes, code: Layers, target: Target, fetched: Sequence[Part]
    ) -> Part:
        """The function's own zip.

        Args:
            config: The bento's manifest.
            code: The layers of its code.
            target: What it is for.
            fetched: What it fetches when it is initialised.
        """
        named = [
            {"path": part.name, "digest": part.digest, "size": part.unzipped} for part in fetched
        ]

        def entries() -> Iterator[ZipEntry]:
            yield _entry("bento.json", config)
            if named:
                yield _entry(LIST, canonical_json(named))
            with temporary_directory(self.home.directory(self.home.cache)) as scratch:
                own = function_files(target, scratch)
            for path, data in own.items():
                yield _entry(path, data)
            yield from self._entries(code, f"{ARCHIVE_PREFIX}/")

        own = [SOURCE, interpreter_identity(target), named]
        return self._zip(FUNCTION, [own, config.decode(), _named(code)], entries)

    def layer(self, name: str, layers: Layers, fetched: AbstractSet[str] = frozenset()) -> Part:
        """The zip of a layer.

        Args:
            name: Its name.
            layers: The bento's layers in it.
            fetched: Paths below ``/opt`` of files that are not in it, but links to them.
        """

        def entries() -> Iterator[ZipEntry]:
            self.report(f"Packing the layer {name}")
            for entry in self._entries(layers, _OPT):
                yield _link(entry.path, target_of(entry.path)) if entry.path in fetched else entry

        return self._zip(name, [_named(layers), sorted(fetched)], entries)

    def listing(self, layers: Layers) -> Listing:
        """What is in some layers."""
        folder = self.home.cache / "lambda-listings"
        path = folder / f"{layer_key('lambda-listing', ZIP_RULES, _named(layers))}.json"
        with suppress(FileNotFoundError, ValueError, KeyError):
            return Listing.from_plain(json.loads(path.read_bytes()))
        self.report("Reading what is in the layers")
        sizes: dict[str, int] = {}
        libraries: dict[str, tuple[int, int]] = {}
        has_plugins = False
        for entry in self._entries(layers, _OPT):
            sizes[entry.path] = entry.size
            if entry.path.endswith(".dist-info/entry_points.txt"):
                has_plugins |= b"[pydantic]" in entry.content.read()
            elif package := wheel_of(entry.path):
                library = glibc_of(entry.content.read().decode())
                libraries |= {} if library is None else {package: library}
        found = Listing(sizes, libraries, has_plugins)
        self.home.directory(folder)
        atomic_write(path, canonical_json(asdict(found)))
        return found

    def fetched(self, layers: Layers, paths: AbstractSet[str]) -> tuple[Part, ...]:
        """Files of layers, each compressed by itself.

        Args:
            layers: The layers.
            paths: Their paths below ``/opt``.

        Returns:
            A part for each, named by its path.
        """
        keys = {
            path: layer_key("lambda-fetched", LEVEL, _named(layers), path) for path in sorted(paths)
        }
        if any(find_layer(self.home, self.store, key) is None for key in keys.values()):
            for entry in self._entries(layers, _OPT):
                if entry.path in keys:
                    self.report(f"Compressing {entry.path}")
                    self._deflated(keys[entry.path], entry)
        made = {path: find_layer(self.home, self.store, key) for path, key in keys.items()}
        return tuple(self._part(path, found) for path, found in made.items() if found is not None)

    def _deflated(self, key: str, entry: ZipEntry) -> None:
        def write() -> Descriptor:
            with self.store.blobs.stage() as staged:
                deflate(entry.content, staged.file)
                staged.file.seek(0)
                digest, size = hash_stream(staged.file)
                self.store.blobs.commit(staged, digest)
            return Descriptor(ZLIB, digest, size, {UNZIPPED: str(entry.size)})

        cached_layer(self.home, self.store, key, write)

    def _zip(
        self, name: str, inputs: Sequence[object], entries: Callable[[], Iterator[ZipEntry]]
    ) -> Part:
        def write() -> Descriptor:
            with self.store.blobs.stage() as staged:
                unzipped = write_zip(entries(), staged.file)
                staged.file.seek(0)
                digest, size = hash_stream(staged.file)
                self.store.blobs.commit(staged, digest)
            return Descriptor(ZIP, digest, size, {UNZIPPED: str(unzipped)})

        key = layer_key("lambda-zip", ZIP_RULES, LEVEL, name, inputs)
        return self._part(name, cached_layer(self.home, self.store, key, write))

    def _part(self, name: str, made: Descriptor) -> Part:
        unzipped = int(made.annotations[UNZIPPED])
        return Part(name, made.digest, made.size, unzipped, self.store.blob_path(made.digest))

    def _entries(self, layers: Layers, above: str) -> Iterator[ZipEntry]:
        """The files of layers, below a path that is taken off theirs."""
        for layer in image_layers(self.home, self.store, layers):
            for info, content in read_entries(layer, layer.created_by):
                path = info.name.removeprefix(above)
                if info.issym():
                    yield _link(path, info.linkname)
                elif content is not None:
                    yield ZipEntry(path, content, info.size, info.mode)


def _entry(path: str, data: bytes) -> ZipEntry:
    return ZipEntry(path, io.BytesIO(data), len(data))


def _link(path: str, target: str) -> ZipEntry:
    data = target.encode()
    return ZipEntry(path, io.BytesIO(data), len(data), 0o777, is_link=True)


def _named(layers: Layers) -> list[object]:
    """What names the content of layers, and where it goes."""
    return [[layer.digest, dict(layer.annotations)] for layer in layers]
