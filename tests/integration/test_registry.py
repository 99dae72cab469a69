"""Push and pull against the registry that most others are made from."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oci_registry import BINARY, running
from safetensors.numpy import save_file

from bentofn.packager.home import Home
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.modelstore import import_model, model_layers
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.referrers import put_referrer, referrers, subject_descriptor
from bentofn.runtime.manifest import BentoManifest, ServiceContract

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

DIRECT = {"NO_PROXY": "*", "no_proxy": "*"}

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="docker-registry is not installed (apt-get install docker-registry)"
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("registry")) as address:
        yield address


def build(home: Path, version: str, code: bytes) -> Entry:
    store = Store(Home(home))
    (source := home / "source").mkdir(exist_ok=True)
    save_file({"a": np.arange(400_000.0)}, source / "model.safetensors")
    (source / "vocab.txt").write_text("words")
    model = import_model(store, source, "words", "1")
    layers = [
        put_layer(store, [LayerFile("opt/bento/env/a", b"env")], kind="env", title="packages"),
        *model_layers(store, model),
        put_layer(store, [LayerFile("opt/bento/src/s.py", code)], kind="code", title="code"),
    ]
    bento = BentoManifest("greeter", version, ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    return store.add_bento(bento, layers, datetime(2026, 1, 1, tzinfo=timezone.utc))


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_bento_goes_there_and_comes_back(tmp_path: Path, registry: str, bentofn: Bentofn) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    entry = build(here, "1", b"first")
    pushed = document(bentofn("push", "greeter", f"{registry}/me/greeter", "--json", home=here))
    assert pushed["reference"] == f"{registry}/me/greeter:1"
    assert pushed["moved_bytes"] > 3_200_000
    pulled = document(bentofn("pull", f"{registry}/me/greeter:1", "--json", home=there))
    assert (pulled["digest"], pulled["tag"]) == (entry.digest, "greeter:1")
    store = Store(Home(there))
    for layer in store.layers(store.get("bento", "greeter:1")):
        original = Store(Home(here)).blob_path(layer.digest).read_bytes()
        assert store.blob_path(layer.digest).read_bytes() == original


def test_each_file_is_told_once_however_many_parts_it_has(
    tmp_path: Path, registry: str, bentofn: Bentofn
) -> None:
    build(tmp_path / "here", "1", b"first")
    target = f"{registry}/told/greeter:1"
    pushed = bentofn("push", "greeter", target, home=tmp_path / "here").stderr
    pulled = bentofn("pull", target, home=tmp_path / "there").stderr
    assert pushed.splitlines().count("Pushing words/model.safetensors") == 1
    assert pulled.splitlines().count("Pulling words/model.safetensors") == 1
    assert "byte" not in pushed + pulled


def test_only_what_changed_is_moved(tmp_path: Path, registry: str, bentofn: Bentofn) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    build(here, "1", b"first")
    target = f"{registry}/changes/greeter"
    bentofn("push", "greeter:1", target, home=here)
    bentofn("pull", f"{target}:1", home=there)
    assert document(bentofn("push", "greeter:1", target, "--json", home=here))["moved_bytes"] == 0
    build(here, "2", b"second")
    pushed = document(bentofn("push", "greeter:2", f"{target}:next", "--json", home=here))
    pulled = document(bentofn("pull", f"{target}:next", "--json", home=there))
    assert 0 < pushed["moved_bytes"] < 5_000
    assert pulled["moved_bytes"] == pushed["moved_bytes"]
    assert pulled["skipped_bytes"] == pushed["skipped_bytes"] > 3_200_000
    difference = bentofn("inspect", "--diff", "greeter:1", "greeter:2", "--json", home=there)
    assert document(difference)["fetched"] < pulled["moved_bytes"]


def test_what_refers_to_a_bento_goes_along(tmp_path: Path, registry: str, bentofn: Bentofn) -> None:
    here, there = Store(Home(tmp_path / "here")), Store(Home(tmp_path / "there"))
    entry = build(here.home.path, "1", b"first")
    subject = subject_descriptor(entry)
    first = put_referrer(here, subject, "text/note", [here.put_bytes(b"first", "text/plain")])
    target = f"{registry}/notes/greeter:1"
    bentofn("push", "greeter", target, home=here.home.path)
    bentofn("pull", target, home=there.home.path)
    assert referrers(there, entry.digest) == [first]
    second = put_referrer(there, subject, "text/note", [there.put_bytes(b"2nd", "text/plain")])
    bentofn("push", "greeter", target, home=there.home.path)
    assert document(bentofn("push", "greeter", target, "--json", home=here.home.path))
    third = Store(Home(tmp_path / "third"))
    bentofn("pull", target, home=third.home.path)
    assert referrers(third, entry.digest) == [first, second]
    assert third.blob_path(second.layers[0].digest).read_bytes() == b"2nd"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_only_what_a_key_signed_is_pulled(tmp_path: Path, registry: str, bentofn: Bentofn) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    entry = build(here, "1", b"first")
    key, public = str(tmp_path / "key.pem"), str(tmp_path / "pub.pem")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    target = f"{registry}/signed/greeter:1"
    bentofn("push", "greeter", target, home=here)
    pull = ("pull", target, "--verify-key", public, "--json")
    refused = bentofn(*pull, home=there, check=False)
    assert refused.returncode == 1
    assert f"{target} is not signed" in refused.stderr
    store = Store(Home(there))
    assert store.index() == []
    assert not any(store.has(layer.digest) for layer in Store(Home(here)).layers(entry))
    bentofn("sign", "greeter", "--key", key, home=here)
    bentofn("push", "greeter", target, home=here)
    assert document(bentofn(*pull, home=there))["digest"] == entry.digest
    bentofn("verify", "greeter", "--key", public, home=there)


def test_what_is_not_there_is_said(tmp_path: Path, registry: str, bentofn: Bentofn) -> None:
    done = bentofn("pull", f"{registry}/me/nothing:1", home=tmp_path / "home", check=False)
    assert done.returncode == 1
    assert f"There is no {registry}/me/nothing:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_dockers_login_is_asked_for_and_used(tmp_path: Path, bentofn: Bentofn) -> None:
    here, docker, folder = tmp_path / "here", tmp_path / "docker", tmp_path / "registry"
    docker.mkdir()
    folder.mkdir()
    entry = build(here, "1", b"first")
    with running(folder, login=True) as address:

        def push(password: str) -> subprocess.CompletedProcess[str]:
            if password:
                auth = base64.b64encode(f"me:{password}".encode()).decode()
                config = {"auths": {address: {"auth": auth}}}
                (docker / "config.json").write_text(json.dumps(config))
            target = f"{address}/me/greeter:1"
            arguments = ("push", "greeter", target)
            return bentofn(*arguments, home=here, check=False, DOCKER_CONFIG=str(docker))

        for wrong in ("", "wr0ng-password"):
            done = push(wrong)
            assert done.returncode == 1
            assert f"docker login {address}" in done.stderr
            assert "wr0ng-password" not in done.stderr
        assert push("secret").returncode == 0
        arguments = ("pull", f"{address}/me/greeter:1", "--json")
        pulled = bentofn(*arguments, home=tmp_path / "there", DOCKER_CONFIG=str(docker))
        assert document(pulled)["digest"] == entry.digest


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is Linux's only")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_elsewhere_https_is_the_rule(tmp_path: Path, bentofn: Bentofn) -> None:
    entry = build(tmp_path / "here", "1", b"first")
    for name in ("secure", "plain"):
        (tmp_path / name).mkdir()

    def push(address: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        arguments = ("push", "greeter", f"{address}/me/greeter", *options)
        return bentofn(*arguments, home=tmp_path / "here", check=False, **variables, **DIRECT)

    with running(tmp_path / "secure", host="127.0.0.2", tls=True) as address:
        done = push(address)
        assert done.returncode == 1
        assert f"{address} cannot be reached over HTTPS" in done.stderr
        trusted = {"SSL_CERT_FILE": str(tmp_path / "secure" / "certificate.pem"), **DIRECT}
        assert push(address, SSL_CERT_FILE=trusted["SSL_CERT_FILE"]).returncode == 0
        pulled = bentofn(
            *("pull", f"{address}/me/greeter:1", "--json"), home=tmp_path / "there", **trusted
        )
        assert document(pulled)["digest"] == entry.digest
    with running(tmp_path / "plain", host="127.0.0.2") as address:
        assert "cannot be reached over HTTPS" in push(address).stderr
        assert push(address, "--insecure").returncode == 0


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_skopeo_takes_it_from_the_registry_and_brings_it_there(
    tmp_path: Path, registry: str, bentofn: Bentofn
) -> None:
    def skopeo(*arguments: str) -> None:
        command = ["skopeo", "--insecure-policy", "copy", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
        assert done.returncode == 0, done.stderr

    here = tmp_path / "here"
    entry = build(here, "1", b"first")
    bentofn("push", "greeter", f"{registry}/skopeo/a:1", home=here)
    layout = f"oci:{tmp_path}/layout:g"
    skopeo("--src-tls-verify=false", f"docker://{registry}/skopeo/a:1", layout)
    skopeo("--dest-tls-verify=false", layout, f"docker://{registry}/skopeo/b:1")
    pulled = bentofn("pull", f"{registry}/skopeo/b:1", "--json", home=tmp_path / "there")
    assert document(pulled)["digest"] == entry.digest
