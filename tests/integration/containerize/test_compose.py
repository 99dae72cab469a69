"""Images composed of a bento and a base, as skopeo and a plain tar see them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bentofn.packager.home import Home

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_same_bento_and_base_make_the_same_image(
    tmp_path: Path, greeter: Home, base_layout: Path, bentofn: Bentofn
) -> None:
    def make(name: str) -> dict[str, Any]:
        target = f"oci:{tmp_path / name}:v1"
        command = ("containerize", "greeter", "--base", f"oci:{base_layout}", "-o", target)
        return document(bentofn(*command, "--json", home=greeter.path))

    first, second = make("first"), make("second")
    assert first["digest"] == second["digest"]
