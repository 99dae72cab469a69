"""podman fetches of a zstd:chunked layer only the files that it has not in any other."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.home import Home
from bentofn.packager.layers import FAST, LayerFile, put_chunked
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.descriptors import LAYER_DIFF_ID

TOOLS = ("podman", "skopeo", "docker-registry")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, TOOLS)),
    reason=f"this is not root, or not all of {', '.join(TOOLS)} are installed",
)


def write_image(folder: Path, store: Store, layer: Descriptor) -> None:
    """An OCI layout of one layer."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(document: Mapping[str, Any], media_type: str) -> dict[str, Any]:
        data = json.dumps(document).encode()
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    shutil.copy(store.blob_path(layer.digest), blobs / layer.digest[7:])
    described = layer.to_json()
    for name, value in layer.annotations.items():
        # What containers/storage called them before 1.44, as in Debian 12.
        described["annotations"][name.replace("io.github.containers", "io.containers")] = value
    config = {
        **{"architecture": "amd64", "os": "linux", "config": {}},
        "rootfs": {"type": "layers", "diff_ids": [layer.annotations[LAYER_DIFF_ID]]},
    }
    kind = "application/vnd.oci.image"
    manifest = {
        **{"schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json", "layers": [described]},
        "config": put(config, f"{kind}.config.v1+json"),
    }
    named = put(manifest, f"{kind}.manifest.v1+json")
    named["annotations"] = {"org.opencontainers.image.ref.name": "v"}
    index = {"schemaVersion": 2, "manifests": [named]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def test_a_pull_fetches_what_is_missing(tmp_path: Path, registry: str) -> None:
    store = Store(Home(tmp_path / "home"))
    (tmp_path / "storage.conf").write_text(
        f"""[storage]
driver = "overlay"
runroot = "{tmp_path}/run"
graphroot = "{tmp_path}/root"
[storage.options]
pull_options = {{enable_partial_images = "true", use_hard_links = "false", ostree_repos = ""}}
"""
    )
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf")}
    kept, edited = os.urandom(3_000_000), os.urandom(10_000)

    def pull(version: str, changed: bytes) -> list[tuple[int, int]]:
        files = [LayerFile("opt/kept", kept), LayerFile("opt/edited", changed, executable=True)]
        layer = put_chunked(store, files, kind="env", title="x", packing=FAST, gather=False)
        write_image(tmp_path / version, store, layer)
        target = f"{registry}/partial:{version}"
        copy = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false"]
        subprocess.run([*copy, f"oci:{tmp_path / version}:v", f"docker://{target}"], check=True)
        done = subprocess.run(
            ["podman", "--log-level=debug", "pull", "--tls-verify=false", target],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = re.findall(r"Missing (\d+) bytes out of (\d+)", done.stderr)
        if not found:
            pytest.skip("this podman fetches no pieces, or says nothing of it")
        return [(int(missing), int(size)) for missing, size in found]

    try:
        assert pull("1", edited) == [(3_010_000, 3_010_000)]
        assert pull("2", b"new") == [(3, 3_000_003)]
        pulled = {path.read_bytes() for path in tmp_path.glob("root/overlay/*/diff/opt/*")}
        assert pulled == {kept, edited, b"new"}
    finally:
        subprocess.run(["umount", tmp_path / "root" / "overlay"], capture_output=True, check=False)
