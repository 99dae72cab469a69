"""Who gives the trees of a bento's root where they need not be unpacked."""

from __future__ import annotations

from bentofn.packager.home import Home
from bentofn.packager.trees import TreeProvider


def tree_providers(home: Home) -> tuple[TreeProvider, ...]:
    """The providers for a process that runs bentos, asked in this order; none is fine.

    Called once, before the process starts a thread, so that it may enter a mount namespace of its
    own (:func:`bentofn.packager.mounts.enter_private_namespace`).

    Args:
        home: Whose trees.
    """
    return ()
