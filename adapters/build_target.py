"""The machine that a function's bento is built for."""

from __future__ import annotations

from dataclasses import dataclass

from bentofn.adapters.function_section import AWS, LOCAL, MODAL
from bentofn.adapters.settings import FunctionSettings

_PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}


@dataclass(frozen=True)
class BuildTarget:
    """What a build must know of where its bento goes; None leaves it to the project.

    Args:
        platform: OCI platform.
        python: Minor version of the interpreter.
    """

    platform: str | None = None
    python: str | None = None


def build_target(settings: FunctionSettings, target: str, host: str) -> BuildTarget:
    """The machine that a function's project is built for.

    Args:
        settings: The function's.
        target: Where it is deployed to.
        host: OCI platform of this machine.
    """
    if target == LOCAL:
        return BuildTarget()
    x86 = _PLATFORMS["x86_64"]
    if target == MODAL:  # has no other: https://modal.com/docs/guide/images
        return BuildTarget(None if host == x86 else x86)
    usual = host if host in _PLATFORMS.values() else x86
    wanted = _PLATFORMS[settings.architecture] if settings.architecture else usual
    runtime = settings.aws.runtime if target.startswith(AWS) else None
    python = runtime.removeprefix("python") if runtime else None
    return BuildTarget(None if wanted == host else wanted, python)
