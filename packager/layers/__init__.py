"""Layers: deterministic tar archives, written into the store and read back safely."""

from bentofn.packager.layers.files import LayerEntry, LayerFile, LayerLink, collect_tree
from bentofn.packager.layers.put import LayerKind, put_layer
from bentofn.packager.layers.tar import Compression, LayerDigests, write_layer
from bentofn.packager.layers.unpack import unpack_layer

__all__ = [
    "Compression",
    "LayerDigests",
    "LayerEntry",
    "LayerFile",
    "LayerKind",
    "LayerLink",
    "collect_tree",
    "put_layer",
    "unpack_layer",
    "write_layer",
]
