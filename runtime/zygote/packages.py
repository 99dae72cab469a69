"""Importing what the services of one environment import."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from bentofn.runtime import describe, threads
from bentofn.runtime.obstacles import tasks
from bentofn.runtime.zygote import variables


@dataclass(frozen=True)
class Imported:
    """What is known of the modules that are imported.

    Args:
        places: ``runtime`` and ``env``: the trees that they were imported from.
        read: The environment variables that were read meanwhile.
        written: Those that they set, to their values.
    """

    places: Mapping[str, str]
    read: frozenset[str]
    written: Mapping[str, str]


class ThreadStartedError(Exception):
    """Importing a module started a thread; the message is the module's package."""


def import_packages(places: Mapping[str, str], without: Collection[str]) -> Imported:
    """Import what the environment's services import.

    Args:
        places: ``runtime`` and ``env``, on the import path already.
        without: Packages that are not imported.

    Raises:
        ThreadStartedError: A package starts a thread when it is imported.
    """
    # threadpoolctl sets a variable when it is imported; a plain start is without both.
    threads.Pools.find()
    before = dict(os.environ)
    gc.disable()
    try:
        with variables.hear_reads() as read:
            describe.import_what_a_start_imports(onnx=False)
            _import_all(compiled_modules(places["env"]), without)
    finally:
        gc.enable()
    written = {name: value for name, value in os.environ.items() if before.get(name) != value}
    trees = {name: places[name] for name in ("runtime", "env")}
    return Imported(trees, frozenset(read), written)


def compiled_modules(environment: str) -> list[str]:
    """The modules of an environment whose bytecode it holds: those that a start executes.

    Args:
        environment: A directory of the import path.

    Returns:
        Their names, parents before children.
    """
    found = []
    suffix = f".{sys.implementation.cache_tag}.pyc"
    for folder, _, files in os.walk(environment):
        *parents, name = Path(folder).relative_to(environment).parts or ("",)
        if name != "__pycache__":
            continue
        stems = [file.removesuffix(suffix) for file in files if file.endswith(suffix)]
        modules = [[*parents, stem] if stem != "__init__" else parents for stem in stems]
        found += [".".join(parts) for parts in modules if all(map(str.isidentifier, parts))]
    return sorted(name for name in found if name and not name.endswith("__main__"))


def _import_all(names: Collection[str], without: Collection[str]) -> None:
    before = tasks.thread_ids()
    for name in names:
        package = name.partition(".")[0]
        if name in sys.modules or package in without:
            continue
        # What fails here may be meant for another machine (one with a GPU).
        with contextlib.suppress(Exception, SystemExit):
            import_module(name)
        if tasks.settled(lambda: tasks.thread_ids() - before):
            raise ThreadStartedError(package)
