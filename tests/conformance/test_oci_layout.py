"""The store holds to the OCI image specification, by our own reading and by skopeo's.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md, manifest.md, descriptor.md
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from safetensors.numpy import save_file

from bentofn.packager.home import Home
from bentofn.packager.layers import LayerFile, LayerKind, put_layer
from bentofn.packager.modelstore import import_model, model_layers
from bentofn.packager.store import Store
from bentofn.runtime.manifest import BentoManifest, ServiceContract

DIGEST = re.compile(r"sha256:[a-f0-9]{64}")
MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}")  # RFC 6838, section 4.2
COMPONENT = r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*"
REF_NAME = re.compile(rf"{COMPONENT}(?:/{COMPONENT})*")  # annotations.md
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with a bento, and with the model that the bento carries."""
    folder = tmp_path_factory.mktemp("oci")
    store = Store(Home(folder / "home"))
    (folder / "model" / "tokenizer").mkdir(parents=True)
    save_file({"a": np.ones(8)}, folder / "model" / "model.safetensors")
    (folder / "model" / "tokenizer" / "vocab.txt").write_text("words")
    model = import_model(store, folder / "model", "words", "1")
    files: dict[LayerKind, LayerFile] = {
        "env": LayerFile("opt/bento/env/bin/tool", b"text", executable=True),
        "runtime": LayerFile("opt/bento/runtime/bentofn/__init__.py", b"text"),
        "code": LayerFile("opt/bento/src/" + "long/" * 40 + "ünï.py", b"text"),
    }
    layers = [put_layer(store, [file], kind=kind, title=kind) for kind, file in files.items()]
    bento = BentoManifest("greeter", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    store.add_bento(bento, [*layers[:1], *model_layers(store, model), *layers[1:]], now)
    return store


def index(store: Store) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((store.path / "index.json").read_bytes())
    return content


def blob(store: Store, descriptor: dict[str, Any]) -> bytes:
    """A descriptor's content, found as the layout says."""
    algorithm, _, digest = descriptor["digest"].partition(":")
    path: Path = store.path / "blobs" / algorithm / digest
    return path.read_bytes()


def manifests(store: Store) -> Iterator[dict[str, Any]]:
    for descriptor in index(store)["manifests"]:
        yield json.loads(blob(store, descriptor))


def descriptors(store: Store) -> Iterator[dict[str, Any]]:
    yield from index(store)["manifests"]
    for manifest in manifests(store):
        yield manifest["config"]
        yield from manifest["layers"]


def plain_tar(store: Store, layer: dict[str, Any]) -> bytes:
    data = blob(store, layer)
    if not layer["mediaType"].endswith("+zstd"):
        return data
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as reader:
        return bytes(reader.read())


def test_the_layout_holds_what_the_specification_names(store: Store) -> None:
    assert json.loads((store.path / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert {path.name for path in store.path.iterdir()} == {"oci-layout", "index.json", "blobs"}
    for path in (store.path / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def test_the_index_names_each_artifact_once(store: Store) -> None:
    content = index(store)
    assert content["schemaVersion"] == 2
    assert content["mediaType"] == "application/vnd.oci.image.index.v1+json"
    names = [
        entry["annotations"]["org.opencontainers.image.ref.name"] for entry in content["manifests"]
    ]
    assert sorted(names) == ["greeter:1", "words:1"]
    for entry, name in zip(content["manifests"], names, strict=True):
        assert entry["mediaType"] == MANIFEST
        assert REF_NAME.fullmatch(name)
        created = entry["annotations"]["org.opencontainers.image.created"]
        assert datetime.fromisoformat(created).tzinfo is not None
        assert entry["artifactType"] == json.loads(blob(store, entry))["artifactType"]


def test_every_descriptor_is_true(store: Store) -> None:
    for descriptor in descriptors(store):
        assert MEDIA_TYPE.fullmatch(descriptor["mediaType"])
        assert DIGEST.fullmatch(descriptor["digest"])
        content = blob(store, descriptor)
        assert descriptor["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert descriptor["size"] == len(content)
        for key, value in descriptor.get("annotations", {}).items():
            assert isinstance(key, str)
            assert isinstance(value, str)


def test_manifests_are_artifacts_in_canonical_json(store: Store) -> None:
    for entry in index(store)["manifests"]:
        manifest = json.loads(blob(store, entry))
        assert manifest["schemaVersion"] == 2
        assert manifest["mediaType"] == entry["mediaType"] == MANIFEST
        assert MEDIA_TYPE.fullmatch(manifest["artifactType"])
        assert manifest["config"]["mediaType"] != "application/vnd.oci.image.config.v1+json"
        assert manifest["layers"]
        canonical = json.dumps(
            manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()
        assert blob(store, entry) == canonical


def test_layers_are_tars_that_any_tool_unpacks(store: Store) -> None:
    (bento,) = (m for m in manifests(store) if "bento" in m["artifactType"])
    for layer in bento["layers"]:
        if not layer["mediaType"].startswith(LAYER):
            continue
        data = plain_tar(store, layer)
        diff_id = layer["annotations"]["io.bentofn.layer.diff-id"]
        assert diff_id == f"sha256:{hashlib.sha256(data).hexdigest()}"
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            members = archive.getmembers()
        names = [member.name for member in members]
        assert len(set(names)) == len(names)
        for member in members:
            parent = member.name.rpartition("/")[0]
            assert not parent or parent in names[: names.index(member.name)]
            assert not Path(member.name).name.startswith(".wh.")
            owner = (member.mtime, member.uid, member.gid, member.uname, member.gname)
            assert owner == (0, 0, 0, "", "")


def test_a_model_is_one_raw_blob_a_weights_file_and_one_archive(store: Store) -> None:
    (model,) = (m for m in manifests(store) if "model" in m["artifactType"])
    assert model["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert model["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    assert [layer["mediaType"] for layer in model["layers"]] == [
        "application/vnd.cncf.model.weight.v1.raw",
        "application/vnd.cncf.model.weight.config.v1.tar",
    ]
    config = json.loads(blob(store, model["config"]))
    # None is compressed, so that the digests of the layers are those of their content.
    assert config["modelfs"]["diffIds"] == [layer["digest"] for layer in model["layers"]]
    carried = next(m for m in manifests(store) if "bento" in m["artifactType"])["layers"]
    assert {layer["digest"] for layer in model["layers"]} < {layer["digest"] for layer in carried}


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
@pytest.mark.parametrize("tag", ["greeter:1", "words:1"])
def test_skopeo_reads_and_copies_it_where_skopeo_is_installed(
    store: Store, tag: str, tmp_path: Path
) -> None:
    def skopeo(*arguments: str) -> bytes:
        done = subprocess.run(["skopeo", *arguments], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    entry = next(e for k in ("bento", "model") if (e := store.find(k, tag)))
    source, copy = f"oci:{store.path}:{tag}", f"oci:{tmp_path}/copy:x"
    assert skopeo("inspect", "--raw", source) == store.blob_path(entry.digest).read_bytes()
    skopeo("--insecure-policy", "copy", source, copy)
    assert skopeo("inspect", "--raw", copy) == store.blob_path(entry.digest).read_bytes()
    for layer in store.descriptors(entry):
        copied = tmp_path / "copy" / "blobs" / "sha256" / layer.digest.removeprefix("sha256:")
        assert copied.read_bytes() == store.blob_path(layer.digest).read_bytes()
