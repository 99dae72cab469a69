"""Reads what a service says before its packages are there: see :mod:`.declared`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bentofn.packager.code.answering import answering
from bentofn.packager.code.contract import child_environment, run_limited
from bentofn.packager.code.declared import Declared, keep, recall
from bentofn.packager.code.gpu import names_gpu
from bentofn.packager.code.import_surface import import_surface
from bentofn.packager.code.sdk_names import (
    imported_packages,
    loaded_models,
    missing_names,
    reached,
    speaks_of_images,
    used_names,
)
from bentofn.packager.code.sources import HashedTree
from bentofn.packager.config.image_options import ImageSpec, check_image
from bentofn.packager.environment.runtime_requirements import (
    inherited_requirements,
    named_requirements,
)
from bentofn.packager.files import temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import layer_key

IMPORT_LIMIT = 60
"""Seconds after which the import with stand-ins is given up."""


def look(
    project: Path,
    source_root: str,
    service: str,
    tree: HashedTree,
    envs: Mapping[str, str],
    version: str,
    home: Home,
) -> Declared:
    """Read the code, and import it where that is needed; as :func:`.declared.declared`."""
    sources = tree.python_sources()
    trees = reached(sources, service)
    used = used_names(trees)
    missing, loaded = missing_names(used), loaded_models(trees)
    needs = named_requirements(sources.values())
    if used:
        inherited = inherited_requirements(imported_packages(trees))
        needs = tuple(sorted({*needs, *inherited}))
    if not speaks_of_images(sources):
        return Declared(missing=missing, needs=needs, loaded=loaded)
    others = {path: digest for path, digest in tree.digests.items() if path not in sources}
    key = layer_key("imported", import_surface(sources, others), service, envs, version)
    found = recall(home, key)
    if found is None:
        with temporary_directory(home.directory(home.cache)) as scratch:
            found = import_declaration(project, source_root, service, envs, scratch)
        keep(home, key, found)
    return replace(found, missing=missing, needs=needs, loaded=loaded)


def import_declaration(
    project: Path, source_root: str, service: str, envs: Mapping[str, str], scratch: Path
) -> Declared:
    """Import a service in a process of its own, with stand-ins for the packages.

    Args:
        project: The project's folder.
        source_root: Folder of it that is imported from.
        service: The service, relative to that.
        envs: Variables of the process.
        scratch: A folder for the answer.

    Raises:
        UserError: Its image cannot be made.
    """
    output = scratch / "declared.json"
    said = {
        "project": str(project),
        "folder": str(project / source_root),
        "service": service,
        "output": str(output),
    }
    code = (
        f"import json, sys; sys.path[:] = {sys.path!r}; from bentofn.packager.code import "
        "stand_ins; stand_ins.main(json.loads(sys.argv[1]))"
    )
    command = [sys.executable, "-B", "-c", code, json.dumps(said)]
    try:
        with answering(None, lambda _: None) as asked:
            environment = {**child_environment(envs), **asked.environment}
            run_limited(command, environment, IMPORT_LIMIT, (asked.socket,))
        raw = json.loads(output.read_bytes())
    except subprocess.TimeoutExpired:
        raw = {"error": f"its import did not end within {IMPORT_LIMIT} s"}
    except (FileNotFoundError, ValueError):
        raw = {"error": "its import ended the interpreter"}
    if "error" in raw:
        return Declared(trouble=str(raw["error"]))
    image = raw["image"] and ImageSpec.from_plain(raw["image"])
    if image:
        check_image(image)
    return Declared(
        image=image,
        gpu=names_gpu(raw["resources"]),
        models=tuple(raw["models"]),
        stand_ins=tuple(raw["stand_ins"]),
    )
