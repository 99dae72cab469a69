"""Layers: deterministic tar archives, written into the store and read back safely."""

from bentofn.packager.layers.chunked import FAST, SMALLEST, Packing, write_chunked
from bentofn.packager.layers.files import LayerEntry, LayerFile, LayerLink, collect_tree
from bentofn.packager.layers.put import LayerKind, put_chunked, put_layer
from bentofn.packager.layers.tar import Compression, LayerDigests, write_layer
from bentofn.packager.layers.unpack import unpack_layer

__all__ = [
    "FAST",
    "SMALLEST",
    "Compression",
    "LayerDigests",
    "LayerEntry",
    "LayerFile",
    "LayerKind",
    "LayerLink",
    "Packing",
    "collect_tree",
    "put_chunked",
    "put_layer",
    "unpack_layer",
    "write_chunked",
    "write_layer",
]
