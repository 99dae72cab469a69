"""What Lambda would refuse of a zip is refused before."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.packager.lambda_.parts import LambdaPackage, Part
from bentofn.packager.lambda_.rules import MAX_UNZIPPED, architecture_of, check_zip, runtime_of
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract


def package(*unzipped: int) -> LambdaPackage:
    parts = tuple(Part(f"p{n}", "sha256:0", 1, size, Path()) for n, size in enumerate(unzipped))
    return LambdaPackage("Zip", "m.handler", "python3.12", "x86_64", parts)


def bento(python: str, platform: str) -> BentoManifest:
    return BentoManifest("greeter", "1", ServiceContract("g", "s:G"), python, platform)


def test_the_function_and_its_layers_together_must_fit() -> None:
    check_zip(package(MAX_UNZIPPED // 2, MAX_UNZIPPED // 2 - 1), "greeter:1")
    with pytest.raises(UserError, match=r"greeter:1 as a zip: its files hold 262 MB .*an image"):
        check_zip(package(MAX_UNZIPPED // 2, MAX_UNZIPPED // 2), "greeter:1")


def test_a_function_has_five_layers_at_most() -> None:
    check_zip(package(*[1] * 6), "greeter:1")
    with pytest.raises(UserError, match="it has 6 layers"):
        check_zip(package(*[1] * 7), "greeter:1")


def test_lambda_has_neither_every_python_nor_every_machine() -> None:
    assert runtime_of(bento("3.12", "linux/amd64")) == "python3.12"
    with pytest.raises(UserError, match=r"built for Python 3\.9"):
        runtime_of(bento("3.9", "linux/amd64"))
    assert architecture_of(bento("3.12", "linux/arm64")) == "arm64"
    with pytest.raises(UserError, match="darwin/arm64"):
        architecture_of(bento("3.12", "darwin/arm64"))
