"""The content-addressed store: an OCI image layout of bentos and models."""

from bentofn.packager.store.descriptors import Descriptor, LayerInfo
from bentofn.packager.store.store import Collected, Entry, Kind, Store
from bentofn.packager.store.tags import Tag, check_part, parse_tag

__all__ = [
    "Collected",
    "Descriptor",
    "Entry",
    "Kind",
    "LayerInfo",
    "Store",
    "Tag",
    "check_part",
    "parse_tag",
]
