"""What the runtime needs on Lambda besides what every bento has: the client, events, batches.

The versions are exact, so that the same bento makes the same package anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bentofn.packager.code.bytecode import compile_files
from bentofn.packager.environment.install import normalise
from bentofn.packager.environment.pip_config import read_pip_config
from bentofn.packager.environment.resolve import wheel_options
from bentofn.packager.environment.target import Target, interpreter_identity
from bentofn.packager.environment.uv import run_uv
from bentofn.packager.files import temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import cached_layer, layer_key
from bentofn.packager.layers import LayerEntry, collect_tree, put_layer
from bentofn.packager.store import Descriptor, Store
from bentofn.runtime.aws_lambda.zipped import LIBRARIES
from bentofn.runtime.layout import ARCHIVE_PREFIX

EVENTS = ("aws-lambda-powertools==3.37.0", "jmespath==1.1.0", "mangum==0.22.0")
"""What turns Lambda's events into requests, and batches into answers with partial failures."""

CLIENT = ("awslambdaric==4.2.2", "simplejson==4.3.0", "snapshot-restore-py==1.0.0")
"""What Lambda's own Python runtimes have and images must bring."""


def libraries_layer(
    home: Home,
    store: Store,
    target: Target,
    requirements: Sequence[str] = EVENTS,
) -> Descriptor:
    """The layer that carries them, with their bytecode.

    Args:
        home: The home.
        store: Takes the layer.
        target: What the bento is for.
        requirements: What it holds.

    Raises:
        UserError: They cannot be had.
    """

    def write() -> Descriptor:
        with temporary_directory(home.directory(home.unpacked)) as scratch:
            tree = scratch / LIBRARIES
            install_libraries(tree, target, requirements, home)
            return put_layer(store, _entries(tree, target, scratch), kind="runtime", title="lambda")

    named = [target.python, target.platform, target.wheels, interpreter_identity(target)]
    return cached_layer(home, store, layer_key("lambda-libraries", named, requirements), write)


def install_libraries(tree: Path, target: Target, requirements: Sequence[str], home: Home) -> None:
    """Install them into a new folder.

    Raises:
        UserError: They cannot be had.
    """
    run_uv(
        [
            *("install", "--target", str(tree), "--python", str(target.interpreter)),
            *("--no-deps", "--link-mode", "copy", "--quiet", *wheel_options(target)),
            *requirements,
        ],
        read_pip_config(os.environ),
        folder=tree.parent,
        what="What functions on Lambda need besides cannot be installed",
        home=home,
    )
    normalise(tree)


def _entries(tree: Path, target: Target, scratch: Path) -> list[LayerEntry]:
    files = {path.relative_to(tree).as_posix(): path for path in sorted(tree.rglob("*.py"))}
    compiled, _ = compile_files(files, LIBRARIES, target, scratch / "bytecode")
    return [*collect_tree(tree, f"{ARCHIVE_PREFIX}/{LIBRARIES}"), *compiled]
