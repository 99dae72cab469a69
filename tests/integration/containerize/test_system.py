"""System packages, and machines on which images cannot be made."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from bentofn.packager.containerize.compose import ImageChoices
from bentofn.packager.containerize.run import Output, containerize
from bentofn.packager.files import remove_tree
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

APT = b"""#!/bin/sh
# Does what apt-get leaves behind: lists, logs, caches, and the packages themselves.
set -e
[ -c /dev/null ] && [ -f /usr/sbin/policy-rc.d ] && [ $(id -u) = 0 ]
mkdir -p /var/lib/apt/lists /var/log/apt /var/cache/apt /usr/lib/packages
case $1 in
update) echo now > /var/lib/apt/lists/list ;;
install)
  echo now > /var/log/apt/history.log; echo now > /var/cache/apt/pkgcache.bin
  while [ $# -gt 0 ]; do last=$1; shift; done
  [ $last != libnone ] || { echo "E: Unable to locate package $last" >&2; exit 100; }
  echo $last > /usr/lib/packages/$last; chmod 4755 /usr/lib/packages/$last ;;
esac
"""


@pytest.fixture(scope="session")
def apt_layout(tmp_path_factory: pytest.TempPathFactory, base_layout: Path, making: Any) -> Path:
    """The base with a program that is called apt-get."""
    tools = tmp_path_factory.mktemp("apt")
    apt = making.part("bin/apt-get", APT, 0o755)
    layout = making.layout(tools / "tool", [[making.part("usr/sbin"), apt]])
    return making.join(base_layout, layout, tools / "both")


def project(folder: Path, packages: str, greeter: Home, bentofn: Bentofn) -> Home:
    """A home with the greeter, which wants system packages."""
    home = Home(folder / "home")
    (folder / "project").mkdir()
    for file in (greeter.path.parent / "project").iterdir():
        if file.is_file():
            (folder / "project" / file.name).write_bytes(file.read_bytes())
    with (folder / "project" / "bentofile.yaml").open("a") as file:
        file.write(f"docker: {{system_packages: [{packages}]}}\n")
    shutil.copytree(greeter.path, home.path, symlinks=True)
    bentofn("build", str(folder / "project"), home=home.path)
    return home


@pytest.mark.usefixtures("namespaces")
def test_system_packages_become_a_layer_without_caches_and_logs(
    tmp_path: Path, greeter: Home, apt_layout: Path, bentofn: Bentofn
) -> None:
    home = project(tmp_path, "libone", greeter, bentofn)
    made = []
    for name in ("a", "b"):
        command = ("containerize", "greeter", "--base", f"oci:{apt_layout}", "--json")
        done = bentofn(*command, "-o", f"oci:{tmp_path / name}:v1", home=home.path)
        made.append(json.loads(done.stdout))
        remove_tree(home.cache / "layers")
    assert made[0]["digest"] == made[1]["digest"]
    [layer] = [each for each in made[0]["layers"] if each["created_by"].startswith("system")]
    blob = tmp_path / "a" / "blobs" / "sha256" / layer["digest"][7:]
    stream = zstandard.ZstdDecompressor().stream_reader(blob.read_bytes(), read_across_frames=True)
    with tarfile.open(fileobj=io.BytesIO(stream.read())) as archive:
        modes = {info.name: info.mode for info in archive}
    assert modes["usr/lib/packages/libone"] == 0o4755
    for noise in ("lists/list", "history.log", "pkgcache", "policy-rc.d", "opt/bento", "resolv"):
        assert not any(noise in name for name in modes)


@pytest.mark.usefixtures("namespaces")
def test_a_package_that_is_not_there_is_said(
    tmp_path: Path, greeter: Home, apt_layout: Path, base_layout: Path, bentofn: Bentofn
) -> None:
    home = project(tmp_path, "libnone", greeter, bentofn)
    for base, said in ((apt_layout, "Unable to locate package libnone"),
                       (base_layout, "it has no apt-get, apk, dnf or yum")):  # fmt: skip
        command = ("containerize", "greeter", "--base", f"oci:{base}")
        done = bentofn(*command, home=home.path, cwd=tmp_path, check=False)
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not list(home.cache.glob(".bentofn-tmp-*"))
    target = str(tmp_path / "context")
    bentofn("containerize", "greeter", "--dockerfile", target, home=home.path)
    text = (tmp_path / "context" / "Dockerfile").read_text()
    assert "install -q -y --no-install-recommends libnone" in text
    assert (tmp_path / "context/bento/models/words/1/word.txt").read_text() == "there\n"


def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, greeter: Home, base_layout: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        for place in ("oci", "oci-archive", "docker-archive"):
            output = Output(f"{place}:{disk / place}")
            choices = ImageChoices(base=f"oci:{base_layout}")
            with pytest.raises(UserError, match=r"disk that holds .* is full"):
                containerize(greeter, "greeter", choices, output, print)
            assert not (disk / place).is_file()
            assert not (disk / place / "index.json").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
