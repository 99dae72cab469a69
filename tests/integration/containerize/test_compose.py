"""Images composed of a bento and a base, as skopeo and plain tools see them."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from bentofn.packager.home import Home
from bentofn.packager.store import Store

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def read(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()


def plain(layout: Path, layer: dict[str, Any]) -> bytes:
    data = read(layout, layer["digest"])
    if not layer["media_type"].endswith("zstd"):
        return data
    stream = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    return bytes(stream.read())


def names(layout: Path, layer: dict[str, Any]) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(plain(layout, layer))) as archive:
        return archive.getnames()


@pytest.fixture(scope="session")
def image(
    tmp_path_factory: pytest.TempPathFactory, greeter: Home, base_layout: Path, bentofn: Bentofn
) -> tuple[Path, dict[str, Any]]:
    """A layout with the greeter's image, and what the command said."""
    layout = tmp_path_factory.mktemp("image") / "layout"
    command = ("containerize", "greeter", "--base", f"oci:{base_layout}", "-o", f"oci:{layout}:v1")
    return layout, document(bentofn(*command, "--json", home=greeter.path))


def test_the_same_bento_and_base_make_the_same_image_elsewhere(
    tmp_path: Path,
    greeter: Home,
    base_layout: Path,
    image: tuple[Path, dict[str, Any]],
    bentofn: Bentofn,
) -> None:
    bentofn("export", "greeter", str(tmp_path / "g.tar"), home=greeter.path)
    bentofn("import", str(tmp_path / "g.tar"), home=tmp_path / "home")
    shutil.copytree(base_layout, tmp_path / "moved")
    command = ("containerize", "greeter", "--base", f"oci:{tmp_path / 'moved'}:base", "--json")
    output = ("-o", f"oci-archive:{tmp_path / 'i.tar'}")
    made = document(bentofn(*command, *output, home=tmp_path / "home"))
    assert made["digest"] == image[1]["digest"]


def test_a_bentos_layers_keep_their_digests_and_models_stand_alone(
    greeter: Home, image: tuple[Path, dict[str, Any]]
) -> None:
    layout, made = image
    store = Store(greeter)
    own = {layer.digest for layer in store.layers(store.get("bento", "greeter"))}
    kept = [layer for layer in made["layers"] if layer["digest"] in own]
    kinds = {layer["created_by"].split()[0] for layer in kept}
    assert kinds >= {"env", "runtime", "code"}
    [model] = [layer for layer in made["layers"] if layer["created_by"].startswith("model")]
    assert "opt/bento/models/words/1/word.txt" in names(layout, model)
    assert all("src" not in name for name in names(layout, model))
    with tarfile.open(fileobj=io.BytesIO(plain(layout, made["layers"][-1]))) as archive:
        manifest = archive.extractfile("opt/bento/bento.json")
        assert manifest is not None
        # Not written anew: the runtime in the bento may be older than the bentofn that composes.
        assert manifest.read() == store.config(store.get("bento", "greeter"))


def test_the_config_says_how_to_start_and_holds_no_secret(
    image: tuple[Path, dict[str, Any]],
) -> None:
    layout, made = image
    manifest = json.loads(read(layout, made["digest"]))
    config = json.loads(read(layout, manifest["config"]["digest"]))
    settings = config["config"]
    assert settings["User"] == "1034:1034"
    assert settings["Entrypoint"][0].startswith("/usr/local/bin/python")
    assert settings["Cmd"] == ["serve", "--host", "0.0.0.0"]
    assert settings["WorkingDir"] == "/opt/bento/src"
    assert {"GREETING=Hello", "PORT=3000", "BENTOFN_ROOT=/opt/bento"} <= set(settings["Env"])
    assert not any(item.startswith("TOKEN") for item in settings["Env"])
    assert settings["Labels"]["team"] == "blue"
    assert settings["Labels"]["base"] == "yes"
    assert list(settings["ExposedPorts"]) == ["3000/tcp"]
    assert len(config["history"]) == len(config["rootfs"]["diff_ids"]) == len(manifest["layers"])
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert made["secrets"] == ["TOKEN"]


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_skopeo_takes_all_forms(
    tmp_path: Path, greeter: Home, base_layout: Path, bentofn: Bentofn
) -> None:
    def skopeo(*arguments: str) -> str:
        command = ["skopeo", "--insecure-policy", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for scheme in ("oci", "oci-archive", "docker-archive"):
        place = f"{scheme}:{tmp_path / scheme}"
        command = ("containerize", "greeter", "--base", f"oci:{base_layout}", "-o", place)
        bentofn(*command, "-t", "greeter:1", home=greeter.path)
        source = place if scheme == "docker-archive" else f"{place}:greeter:1"
        copied = f"dir:{tmp_path}/copy-{scheme}"
        skopeo("copy", source, copied)
        config = json.loads(skopeo("inspect", "--config", copied))
        assert config["config"]["User"] == "1034:1034"


def test_a_change_of_code_ships_neither_weights_nor_packages(
    tmp_path: Path,
    greeter: Home,
    base_layout: Path,
    image: tuple[Path, dict[str, Any]],
    bentofn: Bentofn,
) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    shutil.copytree(greeter.path.parent / "project", project)
    shutil.copytree(greeter.path, home, symlinks=True)
    service = project / "service.py"
    service.write_text(service.read_text().replace("from {", "by {"))
    bentofn("build", str(project), home=home)
    command = ("containerize", "greeter", "--base", f"oci:{base_layout}", "--json")
    output = ("-o", f"oci:{tmp_path / 'layout'}:v2")
    made = document(bentofn(*command, *output, home=home))
    before = {layer["digest"] for layer in image[1]["layers"]}
    shipped = [layer for layer in made["layers"] if layer["digest"] not in before]
    assert {layer["created_by"].split()[0] for layer in shipped} == {"code", "bento"}
    assert sum(layer["size"] for layer in shipped) < 100_000


def test_what_is_there_stays_unless_forced(
    tmp_path: Path, greeter: Home, base_layout: Path, bentofn: Bentofn
) -> None:
    def make(place: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = ("containerize", "greeter", "--base", f"oci:{base_layout}", "-o", place)
        return bentofn(*command, *options, home=greeter.path, check=False)

    (tmp_path / "file.tar").write_text("mine")
    refused = make(f"docker-archive:{tmp_path / 'file.tar'}")
    assert refused.returncode == 1
    assert "is there already" in refused.stderr
    assert (tmp_path / "file.tar").read_text() == "mine"
    assert make(f"docker-archive:{tmp_path / 'file.tar'}", "--force").returncode == 0
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    assert "no OCI layout" in make(f"oci:{tmp_path / 'folder'}").stderr
    layout = f"oci:{tmp_path / 'layout'}"
    assert make(f"{layout}:a").returncode == make(f"{layout}:b").returncode == 0
    refused = make(f"{layout}:a", "--run-as-root")
    assert "another image a" in refused.stderr
    assert make(f"{layout}:a", "--run-as-root", "--force").returncode == 0
    index = json.loads((tmp_path / "layout" / "index.json").read_bytes())
    assert len({entry["digest"] for entry in index["manifests"]}) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--platform", "linux/s390x"), "bentofn build --platform linux/s390x"),
        (("--backend", "buildah"), "--backend is for builders"),
        (("-o", "/some/where"), "does not name an image"),
        (("-t", "Not A Name"), "not a name for an image"),
        (("--base", "oci:/no/such/layout"), "no OCI image layout"),
        (("--base", "docker-archive:/x.tar"), "cannot be read from"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    greeter: Home, base_layout: Path, bentofn: Bentofn, options: tuple[str, ...], said: str
) -> None:
    base = () if "--base" in options else ("--base", f"oci:{base_layout}")
    done = bentofn("containerize", "greeter", *base, *options, home=greeter.path, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
