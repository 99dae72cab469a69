"""Lambda's rules of functions that are zips, found before anything is sent.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (sizes, layers),
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html (Pythons), and
https://docs.aws.amazon.com/linux/al2023/ug/compare-with-al2.html (the C library of both systems).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from bentofn.packager.lambda_.parts import LambdaPackage
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest

MAX_UNZIPPED = 262_144_000
"""Bytes of a function and its layers, unzipped; Lambda says "250 MB"."""

MAX_LAYERS = 5

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")

_MACHINES: dict[str, Literal["x86_64", "arm64"]] = {"linux/amd64": "x86_64", "linux/arm64": "arm64"}


def runtime_of(bento: BentoManifest) -> str:
    """Lambda's name of the runtime that a bento needs.

    Raises:
        UserError: Lambda has none.
    """
    if bento.python not in PYTHONS:
        raise UserError(
            f"{bento.tag} was built for Python {bento.python}, and Lambda has "
            f"{', '.join(PYTHONS)}; build it for one of these (--python-version)."
        )
    return f"python{bento.python}"


def architecture_of(bento: BentoManifest) -> Literal["x86_64", "arm64"]:
    """The architecture of a bento's function.

    Raises:
        UserError: Lambda has none that it runs on.
    """
    if bento.platform not in _MACHINES:
        raise UserError(
            f"{bento.tag} was built for {bento.platform}, and Lambda runs "
            f"{' and '.join(_MACHINES)}; build it with --platform."
        )
    return _MACHINES[bento.platform]


def check_zip(package: LambdaPackage, tag: str) -> None:
    """Refuse what Lambda refuses of a zip.

    Raises:
        UserError: It is too large, or has too many layers.
    """
    problems = list(_problems(package))
    if problems:
        raise UserError(f"Lambda would refuse {tag} as a zip: {' '.join(problems)}")


def _problems(package: LambdaPackage) -> Iterator[str]:
    if package.unzipped >= MAX_UNZIPPED:
        parts = ", ".join(f"{part.name} {part.unzipped / 1e6:.0f}" for part in package.parts)
        yield (
            f"its files hold {package.unzipped / 1e6:.0f} MB ({parts}), and a function with its "
            f"layers may hold {MAX_UNZIPPED / 1e6:.0f}; leave torch out (docs/onnx.md), have the "
            "rest fetched (zip-fetched, with SnapStart), or deploy it as an image."
        )
    if len(package.layers) > MAX_LAYERS:
        yield f"it has {len(package.layers)} layers, and a function may have {MAX_LAYERS}."
