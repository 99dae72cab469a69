"""Who gives the trees of a bento's root where they need not be unpacked."""

from __future__ import annotations

import os
from collections.abc import Mapping

from bentofn.packager.home import Home
from bentofn.packager.roots.mounts import enter_private_namespace, may_mount_devices
from bentofn.packager.roots.trees import TreeProvider
from bentofn.runtime.errors import UserError

EROFS_VARIABLE = "BENTOFN_EROFS"
"""Set to 0 it has environments unpacked also where they could be mounted."""


def tree_providers(home: Home, environ: Mapping[str, str] = os.environ) -> tuple[TreeProvider, ...]:
    """The providers for a process that runs bentos, asked in this order; the lazy first.

    Called once, before the process starts a thread: it may enter a mount namespace of its own.

    Args:
        home: Whose trees.
        environ: The process's environment.
    """
    from bentofn.packager.lazy.provider import LazyTrees

    lazy = LazyTrees(home)
    if environ.get(EROFS_VARIABLE) == "0" or not may_mount_devices():
        return (lazy,)
    try:
        enter_private_namespace()
    except UserError:
        return (lazy,)
    from bentofn.packager.erofs.provider import ImageTrees

    return (lazy, ImageTrees(home))
