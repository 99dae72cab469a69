"""Images run, and answer a request."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.home import Home

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

GREETING = "Hello, Bob there, from 1034"
BOB = {"name": "Bob"}


def test_podman_pulls_from_a_registry_and_runs_as_a_user(
    greeter: Home, base_layout: Path, registry: str, bentofn: Bentofn, podman: Any
) -> None:
    target = f"{registry}/run/greeter:1"
    command = ("containerize", "greeter", "--base", f"oci:{base_layout}", "-o", target)
    bentofn(*command, home=greeter.path)
    podman("pull", "--tls-verify=false", target)
    assert podman.serve(target, "/greet", BOB) == GREETING
    changed = podman.serve(target, "/greet", BOB, "--env", "GREETING=Hi", "--read-only")
    assert changed.startswith("Hi, Bob")


def test_podman_loads_what_docker_would(
    tmp_path: Path, greeter: Home, base_layout: Path, bentofn: Bentofn, podman: Any
) -> None:
    command = ("containerize", "greeter", "--base", f"oci:{base_layout}", "--run-as-root")
    bentofn(*command, "-t", "rooted:1", home=greeter.path, cwd=tmp_path)
    [file] = tmp_path.glob("greeter-*.tar")
    podman("load", "--input", str(file))
    assert podman.serve("localhost/rooted:1", "/greet", BOB).endswith("from 0")


@pytest.mark.usefixtures("namespaces")
def test_a_setup_script_runs_in_the_image_before_it_is_one(
    tmp_path: Path, greeter: Home, base_layout: Path, bentofn: Bentofn, podman: Any
) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    project.mkdir()
    for file in (greeter.path.parent / "project").iterdir():
        (project / file.name).write_bytes(file.read_bytes()) if file.is_file() else None
    with (project / "bentofile.yaml").open("a") as file:
        file.write("docker: {setup_script: setup.sh}\n")
    (project / "setup.sh").write_text(
        "#!/bin/sh\nset -e\ncat models/words/1/word.txt\nrm /bin/touch\n"
        "echo 'def twist(name): return name[::-1]' > src/twist.py\n"
        "[ -c /dev/null ] && [ $(id -u) = 0 ]\n"
    )
    service = project / "service.py"
    lazily = "__import__('twist').twist(name) if name == 'Bob' else name"
    service.write_text(service.read_text().replace("{name}", f"{{{lazily}}}"))
    shutil.copytree(greeter.path, home, symlinks=True)
    bentofn("build", str(project), home=home)
    made = []
    for name in ("a", "b"):
        layout = f"oci:{tmp_path / name}:v1"
        command = ("containerize", "greeter", "--base", f"oci:{base_layout}", "-o", layout)
        bentofn(*command, home=home)
        made.append((tmp_path / name / "index.json").read_bytes())
    assert made[0] == made[1]
    assert podman.serve(f"oci:{tmp_path / 'a'}:v1", "/greet", BOB).startswith("Hello, boB")
    limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")
    run = ("run", "--rm", *limits, "--network", "none", "--entrypoint", "/bin/ls")
    assert "touch" not in podman(*run, f"oci:{tmp_path / 'a'}:v1", "/bin").stdout.split()
