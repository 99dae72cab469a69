"""The tree of a lazy bento: all of its names at once, its bytes as they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.files import temporary_directory
from bentofn.packager.fuse.tree import Tree as FuseTree
from bentofn.packager.fuse.tree import plain_tree
from bentofn.packager.layers.chunk import Chunk
from bentofn.packager.layers.toc import TocEntry
from bentofn.packager.layers.unpack import unpack_layer
from bentofn.packager.lazy.blobs import RemoteBlobs
from bentofn.packager.lazy.chunks import ChunkCache
from bentofn.packager.lazy.contents import (
    ChunkedRest,
    LazyContent,
    Pages,
    PartsRest,
    Rest,
    whole_content,
)
from bentofn.packager.lazy.plan import make_plan
from bentofn.packager.lazy.tables import table_of
from bentofn.packager.parts import files_of
from bentofn.packager.prefetch.blocks import check_block
from bentofn.packager.prefetch.pack import Pack
from bentofn.packager.roots.trees import Tree
from bentofn.packager.store import Descriptor


@dataclass(frozen=True)
class TreeMaker:
    """Makes the trees of one bento.

    Args:
        blobs: The bento's blobs.
        caches: A directory for chunks and unpacked small layers.
        pack: The hot pages; None where there are none.
        failed: Told why bytes cannot be had.
    """

    blobs: RemoteBlobs
    caches: Path
    pack: Pack | None
    failed: Callable[[str], None]

    def make(self, tree: Tree, place: str) -> FuseTree:
        """Make a tree.

        Args:
            tree: What it is made of.
            place: Where it stands in the bento's root, such as ``env``.

        Raises:
            UserError: A layer that must be here is damaged, or a table of contents cannot be had.
        """
        made = FuseTree()
        pages = os.open(self.pack.path, os.O_RDONLY) if self.pack else -1
        chunked = make_plan(tree.archives).chunked
        for layer in tree.archives:
            if layer in chunked:
                self._add_chunked(made, tree, layer, place, pages)
            else:
                self._add_whole(made, tree, layer)
        for path, parts in files_of(tree.files).items():
            size = sum(part.blob.size for part in parts)
            caches = [self._blocks(part.blob) for part in parts]
            size_of_block = self.pack.blocks.size if self.pack else 1
            rest = PartsRest(self.blobs, parts, caches, size_of_block)
            made.add_file(path, self._content(f"{place}/{path}", size, pages, rest))
        return made

    def forget(self) -> None:
        """Remove the files of the caches; whoever has them open keeps them."""
        for cache in self.caches.glob("*.chunks"):
            if self.blobs.store.has(f"sha256:{cache.stem}"):
                cache.unlink(missing_ok=True)
                cache.with_suffix(".present").unlink(missing_ok=True)
        if self.pack is not None:
            self.pack.path.unlink(missing_ok=True)

    def _add_chunked(
        self, made: FuseTree, tree: Tree, layer: Descriptor, place: str, pages: int
    ) -> None:
        entries = table_of(self.blobs.transport, self.blobs.store, layer).entries
        chunks = [chunk for entry in entries for chunk in entry.chunks]
        cache = ChunkCache(self._path(layer), chunks, self._fetcher(layer))
        for path, entry, first in _below(entries, tree.prefix):
            if entry.kind == "dir":
                made.add_directory(path)
            elif entry.kind == "link":
                made.add_link(path, entry.target)
            else:
                rest = ChunkedRest(cache, first, [chunk.file_offset for chunk in entry.chunks])
                content = self._content(f"{place}/{path}", entry.size, pages, rest)
                made.add_file(path, content, executable=entry.executable)

    def _add_whole(self, made: FuseTree, tree: Tree, layer: Descriptor) -> None:
        folder = self._path(layer).with_suffix(".files")
        if not folder.is_dir():
            store = self.blobs.store
            self.blobs.whole(layer)
            with temporary_directory(folder.parent) as temporary:
                blob = store.blob_path(layer.digest)
                unpack_layer(blob, layer.media_type, layer.digest, temporary, tree.prefix)
                temporary.chmod(0o755)
                temporary.rename(folder)
        for node in plain_tree([("", folder)]).nodes():
            if node.target:
                made.add_link(node.path, os.fsdecode(node.target))
            elif node.content:
                content = whole_content(folder / node.path)
                made.add_file(node.path, content, executable=bool(node.mode & 0o100))

    def _blocks(self, part: Descriptor) -> ChunkCache | None:
        blocks = self.pack.blocks.chunks(part) if self.pack else ()
        if not blocks:
            return None
        return ChunkCache(self._path(part), blocks, self._fetcher(part), check_block)

    def _fetcher(self, layer: Descriptor) -> Callable[[Chunk, bool], bytes]:
        def fetch(chunk: Chunk, remote: bool) -> bytes:
            return self.blobs.piece(layer, chunk.offset, chunk.end, remote=remote)

        return fetch

    def _content(self, path: str, size: int, pages: int, rest: Rest) -> LazyContent:
        if self.pack is None:
            return LazyContent(size, (), Pages(-1, []), rest, self.failed)
        hot = self.pack.hot.get(path, ())
        packed = Pages(pages, self.pack.ranges(path))
        return LazyContent(size, hot, packed, rest, self.failed)

    def _path(self, layer: Descriptor) -> Path:
        return self.caches / f"{layer.digest.removeprefix('sha256:')}.chunks"


def _below(entries: tuple[TocEntry, ...], prefix: str) -> Iterator[tuple[str, TocEntry, int]]:
    """The entries below a path: path below it, entry, and how many chunks came before."""
    first = 0
    for entry in entries:
        if entry.path.startswith(f"{prefix}/"):
            yield entry.path.removeprefix(f"{prefix}/"), entry, first
        first += len(entry.chunks)
