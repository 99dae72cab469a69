"""Bases from registries and images into them: indexes, Docker's formats, mounts and refusals."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.home import Home

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def skopeo(*arguments: str) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed (apt-get install skopeo)")
    command = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr


def put(registry: str, repository: str, tag: str, data: bytes, media_type: str) -> None:
    url = f"http://{registry}/v2/{repository}/manifests/{tag}"
    headers = {"Content-Type": media_type}
    request = urllib.request.Request(url, data, headers, method="PUT")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        assert response.status == 201


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="session")
def based(registry: str, base_layout: Path) -> str:
    """A repository with the base as OCI and as Docker have it, and an index of both platforms."""
    repository = f"{registry}/bases/python"
    source = f"oci:{base_layout}:base"
    skopeo(source, f"docker://{repository}:oci")
    skopeo("--format", "v2s2", source, f"docker://{repository}:docker")
    [entry] = json.loads((base_layout / "index.json").read_bytes())["manifests"]
    plain = {key: entry[key] for key in ("mediaType", "digest", "size")}
    own = json.loads((base_layout / "blobs/sha256" / entry["digest"][7:]).read_bytes())
    config = json.loads((base_layout / "blobs/sha256" / own["config"]["digest"][7:]).read_bytes())
    here = {"os": "linux", "architecture": config["architecture"]}
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {**plain, "platform": {"os": "unknown", "architecture": "unknown"}},
            {**plain, "platform": here},
        ],
    }
    put(registry, "bases/python", "both", json.dumps(index).encode(), INDEX)
    other = {**index, "manifests": [{**plain, "platform": {**here, "architecture": "riscv64"}}]}
    put(registry, "bases/python", "riscv", json.dumps(other).encode(), INDEX)
    return repository


def test_a_base_may_be_an_index_an_oci_or_a_docker_image(
    tmp_path: Path, greeter: Home, based: str, bentofn: Bentofn
) -> None:
    made = {}
    for tag in ("oci", "docker", "both"):
        command = ("containerize", "greeter", "--base", f"{based}:{tag}", "--json")
        place = f"oci:{tmp_path / tag}:v1"
        made[tag] = document(bentofn(*command, "-o", place, home=greeter.path))
    layers = {tag: [layer["digest"] for layer in each["layers"]] for tag, each in made.items()}
    assert layers["oci"] == layers["both"]
    assert layers["oci"][2:] == layers["docker"][2:]
    types = {layer["media_type"] for each in made.values() for layer in each["layers"]}
    assert all(kind.startswith("application/vnd.oci.image.layer.v1.tar") for kind in types)


def test_a_push_mounts_the_base_and_sends_nothing_twice(
    greeter: Home, based: str, registry: str, bentofn: Bentofn
) -> None:
    target = f"{registry}/images/greeter:1"
    base = f"{based}@{digest_of(registry, 'bases/python', 'oci')}"
    command = ("containerize", "greeter", "--base", base, "-o", target, "--json")
    first = document(bentofn(*command, "-t", "greeter:stable", home=greeter.path))
    bases = sum(layer["size"] for layer in first["layers"][:2])
    assert first["pushed"]["mounted_bytes"] == bases
    assert first["pushed"]["moved_bytes"] < bases
    assert first["names"] == [target, f"{registry}/images/greeter:stable"]
    assert digest_of(registry, "images/greeter", "stable") == first["digest"]
    second = document(bentofn(*command, home=greeter.path))
    assert second["pushed"]["moved_bytes"] == second["pushed"]["mounted_bytes"] == 0
    assert second["digest"] == first["digest"]


def digest_of(registry: str, repository: str, tag: str) -> str:
    url = f"http://{registry}/v2/{repository}/manifests/{tag}"
    request = urllib.request.Request(url, headers={"Accept": MANIFEST}, method="HEAD")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        return str(response.headers["Docker-Content-Digest"])


@pytest.mark.parametrize(
    ("tag", "said"), [("riscv", "it has linux/riscv64"), ("nothing", "There is no")]
)
def test_what_no_registry_has_is_said(
    greeter: Home, based: str, bentofn: Bentofn, tag: str, said: str
) -> None:
    command = ("containerize", "greeter", "--base", f"{based}:{tag}")
    done = bentofn(*command, home=greeter.path, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bento_is_no_base(greeter: Home, registry: str, bentofn: Bentofn) -> None:
    bentofn("push", "greeter", f"{registry}/bentos/greeter:1", home=greeter.path)
    command = ("containerize", "greeter", "--base", f"{registry}/bentos/greeter:1")
    done = bentofn(*command, home=greeter.path, check=False)
    assert "is no container image but application/vnd.bentofn" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="podman runs as root here")
def test_podman_runs_layers_that_skopeo_wrote_as_zstd_chunked(
    tmp_path: Path, greeter: Home, base_layout: Path, registry: str, bentofn: Bentofn, podman: Any
) -> None:
    base = f"docker://{registry}/bases/chunked:1"
    skopeo("--dest-compress-format", "zstd:chunked", f"oci:{base_layout}:base", base)
    target = f"{registry}/images/chunked:1"
    command = ("containerize", "greeter", "--base", base, "-o", target)
    bentofn(*command, home=greeter.path)
    podman("pull", "--tls-verify=false", target)
    assert podman.serve(target, "/greet", {"name": "Bob"}).startswith("Hello, Bob")


def test_a_registry_that_wants_a_login_is_told_dockers(
    tmp_path: Path, greeter: Home, base_layout: Path, bentofn: Bentofn, locked_registry: str
) -> None:
    def run(password: str, *options: str) -> subprocess.CompletedProcess[str]:
        auth = base64.b64encode(f"me:{password}".encode()).decode()
        config = {"auths": {locked_registry: {"auth": auth}}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        command = ("containerize", "greeter", *options)
        return bentofn(*command, home=greeter.path, check=False, DOCKER_CONFIG=str(tmp_path))

    target = f"{locked_registry}/me/greeter:1"
    here = ("--base", f"oci:{base_layout}", "-o", target)
    for wrong in (run("wr0ng", *here), run("wr0ng", "--base", target)):
        assert wrong.returncode == 1
        assert f"docker login {locked_registry}" in wrong.stderr
        assert "wr0ng" not in wrong.stderr
    assert run("secret", *here).returncode == 0
    again = ("--base", target, "-o", f"oci:{tmp_path / 'layout'}")
    assert run("secret", *again).returncode == 0
