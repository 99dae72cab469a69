"""The models of a project that is served without being built."""

from __future__ import annotations

import sys
from pathlib import Path

from bentofn.packager.home import Home
from bentofn.packager.modelsources.wanted import require_model
from bentofn.packager.modelstore import local_path
from bentofn.packager.store import Store


def hub_path(source: str) -> Path:
    """The folder of a model of the hub, fetched into the store if it is not there.

    Args:
        source: ``hf:org/name@revision``.

    Raises:
        UserError: There is no such model, or it cannot be fetched.
    """
    store = Store(Home.default())
    entry = require_model(store, source, lambda step: print(step, file=sys.stderr))
    return local_path(entry.tag, store.home)[2]
