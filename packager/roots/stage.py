"""The root of a bento that is not stored yet, in a temporary folder, so that it can be run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from bentofn.packager.home import Home
from bentofn.packager.modelstore import local_path
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest


def stage(folder: Path, files: Mapping[str, Path]) -> Path:
    """Copy files into a folder.

    Args:
        folder: The folder; made if need be.
        files: Path in the folder to file.

    Returns:
        The folder.
    """
    for path, source in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    return folder


def stage_root(
    folder: Path,
    manifest: BentoManifest,
    source: Mapping[str, Path],
    runtime: Mapping[str, Path],
    env: Path,
    home: Home,
) -> Path:
    """Make a root.

    Args:
        folder: Where; must not exist.
        manifest: The bento's.
        source: Path to file of the project's code.
        runtime: Path to file of the runtime.
        env: Its environment, which is linked to.
        home: Holds its models, which are linked to.

    Returns:
        The folder.

    Raises:
        UserError: A model is not in the store, or damaged.
    """
    root = BentoRoot(folder)
    stage(root.source, source)
    stage(root.runtime, runtime)
    root.environment.symlink_to(env)
    root.manifest.write_bytes(manifest.to_json())
    for name, version in {(model.name, model.version) for model in manifest.models}:
        link = root.models / name / version
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(local_path(f"{name}:{version}", home)[2])
    return folder
