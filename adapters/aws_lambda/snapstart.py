"""Where SnapStart starts a function, and what keeps it from doing so.

Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html (Supported features and
limitations; Supported Regions)
"""

from __future__ import annotations

from collections.abc import Iterator

from bentofn.adapters.protocol import FunctionSettings
from bentofn.packager.lambda_.parts import LambdaPackage

FIRST_PYTHON = (3, 12)
MAX_SCRATCH = 512
"""MiB of /tmp with SnapStart."""

_WITHOUT = ("ap-east-2", "ap-southeast-6", "us-gov-", "cn-", "us-iso", "eu-isoe-")
"""Regions, or how their names begin, that have no SnapStart: those that are not commercial, Taipei
and New Zealand. As AWS's page said on 2026-11-23; what a region that is not listed lacks, Lambda
says itself."""


def is_in(region: str) -> bool:
    """Whether a region has SnapStart, as far as is known."""
    return not region.startswith(_WITHOUT)


def obstacles(
    settings: FunctionSettings, runtime: str, *, is_image: bool = False
) -> Iterator[tuple[str, str]]:
    """What keeps SnapStart from starting a function: the field, and why.

    Args:
        settings: How it runs.
        runtime: Lambda's name of its Python.
        is_image: Whether it is packaged as an image.
    """
    if is_image:
        yield "packaging", "takes no images; package it as a zip"
    version = runtime.removeprefix("python").split(".")
    if tuple(map(int, version)) < FIRST_PYTHON:
        yield "runtime", f"takes Python from 3.12 on, and the bento's is {'.'.join(version)}"
    if (settings.scratch or 0) > MAX_SCRATCH:
        yield (
            "ephemeralStorageSize",
            f"takes /tmp of 512 MB at most, and ephemeralStorageSize is {settings.scratch}",
        )
    if settings.aws.provisioned_concurrency or settings.min_instances:
        field = "provisionedConcurrency" if settings.aws.provisioned_concurrency else "minInstances"
        yield field, f"and provisioned concurrency exclude each other; leave out {field}"
    if settings.aws.others.get("fileSystemConfig"):
        yield "fileSystemConfig", "takes no file systems of EFS; leave out fileSystemConfig"


def starts_snapped(settings: FunctionSettings, package: LambdaPackage, region: str) -> bool:
    """Whether a function's versions are started from a snapshot of AWS's."""
    if settings.aws.snap_start:
        return True
    return (
        settings.snapshot == "auto"
        and is_in(region)
        and not any(obstacles(settings, package.runtime, is_image=package.kind == "Image"))
    )
