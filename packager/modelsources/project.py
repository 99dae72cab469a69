"""The models of a project that is served without being built."""

from __future__ import annotations

import sys
from pathlib import Path

from bentofn.packager.home import Home
from bentofn.packager.modelsources.wanted import find_model, require_model
from bentofn.packager.modelstore import describe_model, local_path
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import NotFound, UserError
from bentofn.runtime.model import Model, ModelPath


def hub_path(source: str) -> Path:
    """The folder of a model of the hub, fetched into the store if it is not there.

    Args:
        source: ``hf:org/name@revision``.

    Raises:
        UserError: There is no such model, or it cannot be fetched.
    """
    store = Store(Home.default())
    entry = require_model(store, source, _tell)
    return local_path(entry.tag, store.home)[2]


def store_model(tag: str) -> Model:
    """A model of the store, or of BentoML's own, from which it is imported.

    Args:
        tag: ``name:version``, ``name:latest`` or ``name``.

    Raises:
        NotFound: Neither has it, or it is refused.
    """
    store = Store(Home.default())
    try:
        return model_of(store, find_model(store, tag, _tell))
    except UserError as error:
        raise NotFound(str(error)) from error


def store_models() -> list[Model]:
    """All models of the store."""
    store = Store(Home.default())
    return [model_of(store, entry) for entry in store.list("model")]


def model_of(store: Store, entry: Entry) -> Model:
    """A model of the store as services see it.

    Raises:
        UserError: A file of it is damaged.
    """
    info = describe_model(store, entry)
    name, version, path = local_path(entry.tag, store.home)
    return Model(name, version, ModelPath(path), info.labels, info.metadata, facts=info.facts)


def _tell(step: str) -> None:
    print(step, file=sys.stderr)
