"""Bases that a bento cannot stand on, and Lambda's rules."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.containerize.lambda_rules import check_source
from bentofn.packager.containerize.names import parse_place
from bentofn.packager.containerize.places import open_place
from bentofn.packager.home import Home
from bentofn.packager.store import Store

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY = f"usr/lib/python{MINOR}"
WHOLE = [f"{LIBRARY}/{name}" for name in ("os.py", "ssl.py", "asyncio/__init__.py")]
WHOLE.append(f"{LIBRARY}/json/__init__.py")


def refusal(bentofn: Bentofn, home: Home, layout: Path, *options: str) -> str:
    command = ("containerize", "greeter", "--base", f"oci:{layout}", *options)
    done = bentofn(*command, home=home.path, cwd=layout.parent, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not list(layout.parent.glob("greeter-*"))
    return done.stderr


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ([], "has no Python, and the bento needs"),
        (["usr/bin/python3.2", "usr/bin/python3.7"], "has Python 3.2 and 3.7, and the bento needs"),
        ([f"usr/bin/python{MINOR}"], "without the whole standard library"),
        ([f"usr/bin/python{MINOR}", f"{LIBRARY}/os.py"], "without the whole standard library"),
        ([f"usr/bin/python{MINOR}", *WHOLE, "lib/ld-musl-x86_64.so.1"], "has the C library musl"),
    ],
)
def test_a_base_without_the_bentos_python_is_refused(
    tmp_path: Path,
    greeter: Home,
    bentofn: Bentofn,
    making: Any,
    paths: list[str],
    said: str,
) -> None:
    parts = [making.part(path, b"", 0o755) for path in paths]
    layout = making.layout(tmp_path / "base", [[making.part("etc"), *parts]])
    refused = refusal(bentofn, greeter, layout)
    assert said in refused
    assert f"python:{MINOR}-slim (docker.base_image of the bento, or --base" in refused


def test_a_base_for_another_platform_is_refused(
    tmp_path: Path, greeter: Home, bentofn: Bentofn, making: Any
) -> None:
    layout = making.layout(tmp_path / "base", [[making.part("etc")]], architecture="riscv64")
    said = refusal(bentofn, greeter, layout)
    assert "is for linux/riscv64 and the bento for linux/" in said


@pytest.mark.parametrize("what", ["manifest", "config", "layer", "diff_id", "missing"])
def test_a_damaged_base_is_refused(
    tmp_path: Path, greeter: Home, bentofn: Bentofn, making: Any, what: str
) -> None:
    layout = making.layout(tmp_path / "base", [[making.part("etc"), making.part("etc/a", b"a")]])
    blobs = layout / "blobs" / "sha256"
    [entry] = json.loads((layout / "index.json").read_bytes())["manifests"]
    manifest = json.loads((blobs / entry["digest"][7:]).read_bytes())
    if what == "diff_id":
        config = json.loads((blobs / manifest["config"]["digest"][7:]).read_bytes())
        config["rootfs"]["diff_ids"] = ["sha256:" + "0" * 64]
        rewrite(layout, manifest, config)
    else:
        chosen = {"manifest": entry, "config": manifest["config"]}.get(what, manifest["layers"][0])
        path = blobs / chosen["digest"][7:]
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        if what == "missing":
            path.unlink()
    assert "is damaged" in refusal(bentofn, greeter, layout)


def rewrite(layout: Path, manifest: dict[str, Any], config: dict[str, Any]) -> None:
    """Put a config into a layout in the place of its own, with digests that fit."""

    def put(data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (layout / "blobs" / "sha256" / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    manifest["config"] |= put(json.dumps(config).encode())
    index = json.loads((layout / "index.json").read_bytes())
    index["manifests"][0] |= put(json.dumps(manifest).encode())
    (layout / "index.json").write_text(json.dumps(index))


def test_a_base_may_be_one_file_and_is_read_with_the_same_care(
    tmp_path: Path, greeter: Home, base_layout: Path, bentofn: Bentofn
) -> None:
    archive = tmp_path / "base.tar"
    with tarfile.open(archive, "w") as file:
        file.add(base_layout, ".")

    def make(base: str, name: str) -> str:
        place = f"oci:{tmp_path / name}"
        command = ("containerize", "greeter", "--base", base, "-o", place, "--json")
        return str(json.loads(bentofn(*command, home=greeter.path).stdout)["digest"])

    assert make(f"oci-archive:{archive}:base", "a") == make(f"oci:{base_layout}", "b")
    data = archive.read_bytes()
    for damaged, said in (
        (data[: len(data) // 2], "cut short"),
        (b"no tar", "is no tar archive"),
        (data.replace(b"layer 1", b"layer 2"), "is damaged"),
    ):
        archive.write_bytes(damaged)
        command = ("containerize", "greeter", "--base", f"oci-archive:{archive}")
        done = bentofn(*command, home=greeter.path, cwd=tmp_path, check=False)
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_an_image_for_lambda_keeps_its_rules_and_others_do_not(
    tmp_path: Path, greeter: Home, base_layout: Path, bentofn: Bentofn
) -> None:
    def rules(name: str, *options: str) -> set[str]:
        command = ("containerize", "greeter", "--base", f"oci:{base_layout}", *options)
        place = f"oci:{tmp_path / name}"
        bentofn(*command, "-o", place, home=greeter.path)
        source = open_place(parse_place(place), Store(greeter), print)
        return {violation.rule for violation in check_source(source)}

    assert rules("plain") == {"UnsupportedImageLayerDetected"}
    assert rules("lambda", "--target", "aws-lambda") == set()


def test_a_base_that_lambda_refuses_is_named_before_anything_is_written(
    tmp_path: Path, greeter: Home, base_layout: Path, bentofn: Bentofn, making: Any
) -> None:
    python = [f"usr/bin/python{MINOR}", *WHOLE]
    parts = [making.part(path, b"", 0o755) for path in python]
    layout = making.layout(tmp_path / "base", [parts])
    said = refusal(bentofn, greeter, layout, "--target", "aws-lambda")
    assert "Lambda would refuse an image on" in said
    assert "has no entry for the folder usr/bin" in said
