"""The interpreter that runs a bento, and the command that makes it one of its processes."""

from __future__ import annotations

from bentofn.packager.environment.target import find_interpreter as find_python
from bentofn.packager.environment.target import host_platform
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import boot_command
from bentofn.runtime.manifest import BentoManifest

__all__ = ["boot_command", "check_platform", "find_python"]


def check_platform(manifest: BentoManifest) -> None:
    """Make sure that a bento can run on this machine.

    Raises:
        UserError: It was built for another platform.
    """
    here = host_platform()
    if manifest.platform != here:
        raise UserError(
            f"{manifest.tag} was built for {manifest.platform} and cannot run on {here}; "
            "build it again without --platform."
        )
