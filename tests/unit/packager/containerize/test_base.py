"""Bases whose documents hold anything."""

from __future__ import annotations

import contextlib
import copy
import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentofn.packager.containerize.base import read_base
from bentofn.packager.containerize.blob import Blob, bytes_blob
from bentofn.packager.containerize.image_config import Start, image_config
from bentofn.packager.containerize.media import DOCKER_MANIFEST, IMAGE_CONFIG
from bentofn.packager.registry.reference import Reference
from bentofn.packager.store import Descriptor
from bentofn.packager.store.descriptors import INDEX, MANIFEST
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract

CONFIG: dict[str, Any] = {
    "os": "linux",
    "architecture": "amd64",
    "config": {"Env": ["PATH=/bin"], "Labels": {"a": "b"}, "StopSignal": "SIGINT"},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]},
    "history": [{"created_by": "x"}],
}
LAYER = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 3,
         "digest": "sha256:" + "2" * 64}  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """An image in memory."""

    documents: dict[str, bytes]
    first: bytes
    name: str = "base"
    registry: Reference | None = None

    def top(self) -> bytes:
        return self.first

    def document(self, descriptor: Descriptor) -> bytes:
        return self.documents[descriptor.digest]

    def blob(self, descriptor: Descriptor) -> Blob:
        return bytes_blob(self.documents.get(descriptor.digest, b""), descriptor.media_type)


def image(config: Any, manifest: dict[str, Any] | None = None) -> Memory:
    blob = bytes_blob(json.dumps(config).encode(), IMAGE_CONFIG)
    document = manifest or {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": blob.descriptor.to_json(),
        "layers": [LAYER],
    }
    return Memory({blob.descriptor.digest: blob.read()}, json.dumps(document).encode())


def index(inside: Memory, platforms: list[dict[str, str]]) -> Memory:
    blob = bytes_blob(inside.first, MANIFEST)
    entries = [{**blob.descriptor.to_json(), "platform": each} for each in platforms]
    documents = {**inside.documents, blob.descriptor.digest: inside.first}
    return Memory(documents, json.dumps({"mediaType": INDEX, "manifests": entries}).encode())


def test_dockers_names_become_ocis() -> None:
    base = read_base(image(CONFIG), "linux/amd64")
    [layer] = base.layers
    assert layer.blob.descriptor.media_type == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert base.history == [{"created_by": "x"}]


def test_an_index_is_asked_for_the_platform() -> None:
    arm = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    attestation = {"os": "unknown", "architecture": "unknown"}
    both = index(image(CONFIG | {"architecture": "arm64"}), [attestation, arm])
    assert read_base(both, "linux/arm64").config["architecture"] == "arm64"
    with pytest.raises(UserError, match=r"no image for linux/amd64.*it has linux/arm64:"):
        read_base(both, "linux/amd64")
    nested = both
    for _ in range(5):
        nested = index(nested, [arm])
    with pytest.raises(UserError, match="is not a container image"):
        read_base(nested, "linux/arm64")


@pytest.mark.parametrize("kind", ["application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "x"])
def test_layers_that_may_not_be_copied_are_refused(kind: str) -> None:
    manifest = json.loads(image(CONFIG).first)
    manifest["layers"][0]["mediaType"] = kind
    with pytest.raises(UserError, match="has a layer of the type"):
        read_base(Memory(image(CONFIG).documents, json.dumps(manifest).encode()), "linux/amd64")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def paths(value: Any) -> list[tuple[Any, ...]]:
    """The way to each value inside a document."""
    found: list[tuple[Any, ...]] = []
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            found += [(key,), *((key, *rest) for rest in paths(value[key]))]
    return found


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    copied = copy.deepcopy(value)
    inner = copied
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return copied


@settings(max_examples=300)
@given(data=st.data(), new=ANYTHING)
def test_any_document_is_a_base_or_a_sentence(data: st.DataObject, new: Any) -> None:
    bento = BentoManifest("g", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    if data.draw(st.booleans()):
        source = image(replaced(CONFIG, data.draw(st.sampled_from(paths(CONFIG))), new))
    else:
        manifest = json.loads(image(CONFIG).first)
        way = data.draw(st.sampled_from(paths(manifest)))
        source = Memory(image(CONFIG).documents, json.dumps(replaced(manifest, way, new)).encode())
    with contextlib.suppress(UserError):
        base = read_base(source, "linux/amd64")
        json.dumps(image_config(bento, "d", base, [], Start("/usr/bin/python3.11")))
