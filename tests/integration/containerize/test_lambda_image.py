"""An image for Lambda: podman runs it under AWS's emulator, as Lambda would call it."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

from bentofn.packager.containerize.compose import ImageChoices
from bentofn.packager.containerize.layout import write_layout
from bentofn.packager.home import Home
from bentofn.packager.lambda_.package import package

PATH = "/2015-03-31/functions/function/invocations"


def test_an_image_answers_the_runtime_api(
    tmp_path: Path, greeter: Home, base_layout: Path, podman: Any, rie: Path, making: Any
) -> None:
    choices = ImageChoices(base=f"oci:{base_layout}")
    made = package(greeter, "greeter", "image", print, choices=choices)
    assert (made.kind, made.parts, made.environment) == ("Image", (), {"GREETING": "Hello"})
    assert made.image is not None
    config = json.loads(made.image.config.read())["config"]
    assert config["Cmd"] == ["function"]
    write_layout(made.image, tmp_path / "image", ("v1",), force=False)
    api, address = (f"127.0.0.1:{free_port()}" for _ in range(2))
    emulator = ["--runtime-interface-emulator-address", address, "--runtime-api-address", api]
    name = f"test-{address.rpartition(':')[2]}"
    command = [
        *("podman", *podman.options, "run", "--rm", "--name", name, "--network", "host"),
        *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--read-only"),
        *("--volume", f"{rie}:/rie:ro", "--entrypoint", "/rie", f"oci:{tmp_path / 'image'}:v1"),
        *(*emulator, *config["Entrypoint"], *config["Cmd"]),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            event = json.dumps({"name": "Ada"}).encode()
            said = making.answer(f"http://{address}{PATH}", process, event)
            assert json.loads(said).startswith("Hello, Ada there, from ")
        finally:
            podman("stop", "--time", "5", name, check=False)
            if process.poll() is None:
                process.wait(30)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
