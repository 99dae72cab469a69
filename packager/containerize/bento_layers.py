"""A bento's layers as layers of an image: archives keep their digests, models become archives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bentofn.packager.containerize.blob import Layer, file_blob
from bentofn.packager.containerize.media import layer_type
from bentofn.packager.containerize.model_layers import model_layers
from bentofn.packager.home import Home
from bentofn.packager.layers.stream import DamagedLayer, read_members
from bentofn.packager.store import Descriptor, LayerInfo, Store
from bentofn.packager.store.descriptors import LAYER_DIFF_ID, LAYER_KIND
from bentofn.runtime.errors import UserError

_REMEDY = "build or pull the bento again"
_ORDER = ("env", "bytecode", "model", "compiled", "runtime", "code")
"""What changes often stands on what does not: a container runtime unpacks anew what is above."""


def image_layers(home: Home, store: Store, layers: Sequence[Descriptor]) -> Iterator[Layer]:
    """A bento's layers in the order of an image.

    Args:
        home: Where digests are remembered.
        store: Holds the layers.
        layers: The bento's.

    Raises:
        UserError: A layer is damaged or of a kind that no image has.
    """
    for layer in layers:
        if layer.annotations.get(LAYER_KIND) not in _ORDER:
            raise UserError(
                f"This bento has a layer of kind {layer.annotations.get(LAYER_KIND)!r}, which this "
                "bentofn does not know; use the bentofn that built it."
            )
    for kind in _ORDER:
        group = [layer for layer in layers if layer.annotations.get(LAYER_KIND) == kind]
        if kind == "model":
            yield from model_layers(home, store, group)
        else:
            yield from (_archive(store, layer) for layer in group)


def has_native_code(store: Store, layers: Sequence[Descriptor]) -> bool:
    """Whether the bento's environment holds shared libraries, which need a certain C library.

    Raises:
        UserError: A layer is damaged.
    """
    for layer in layers:
        if layer.annotations.get(LAYER_KIND) != "env":
            continue
        path = store.blob_path(layer.digest)
        try:
            members = read_members(path, layer.media_type, layer.digest)
            if any(member.path.endswith(".so") or ".so." in member.path for member in members):
                return True
        except DamagedLayer as error:
            raise UserError(
                f"The layer {LayerInfo.of(layer).name} is damaged; {_REMEDY}."
            ) from error
    return False


def _archive(store: Store, layer: Descriptor) -> Layer:
    info = LayerInfo.of(layer)
    diff_id = layer.annotations.get(LAYER_DIFF_ID, "")
    if layer_type(layer.media_type) is None or not diff_id:
        raise UserError(f"The layer {info.name} has no place in an image; {_REMEDY}.")
    blob = file_blob(store.blob_path(layer.digest), layer, f"The layer {info.name}", _REMEDY)
    return Layer(blob, diff_id, info.kind if info.name == info.kind else f"{info.kind} {info.name}")
