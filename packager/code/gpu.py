"""Whether a service asks for a GPU, told without importing it, before its packages are chosen."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from bentofn.packager.config.model import BuildConfig
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import ServiceContract

_KEYS = ("gpu", "gpu_type")
"""Of BentoML's ``resources``."""


def asks_for_gpu(project: Path, config: BuildConfig) -> bool:
    """Whether the build file or the service's own file names a GPU.

    Args:
        project: The project's folder.
        config: The build file.
    """
    docker = config.docker
    if docker.cuda_version is not None or "cuda" in (docker.base_image or "").lower():
        return True
    try:
        text = _service_file(project, config).read_bytes()
        return b"gpu" in text and any(map(_may_name_gpu, _resources(ast.parse(text))))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return False  # the build says what is wrong with the file when it compiles it


def names_gpu(resources: object) -> bool:
    """Whether a service's ``resources`` name a GPU."""
    return isinstance(resources, Mapping) and any(resources.get(key) for key in _KEYS)


def refuse_unseen_gpu(contract: ServiceContract) -> None:
    """Make sure that a service with torch's CPU build does not ask for a GPU after all.

    Raises:
        UserError: It does, in a way that only its import showed.
    """
    if names_gpu(contract.config.get("resources")):
        raise UserError(
            f"The resources of {contract.name} name a GPU, which was not seen in its file before "
            "its packages were chosen; build with --gpu (or with --cpu, if it should have torch's "
            "CPU build all the same)."
        )


def _service_file(project: Path, config: BuildConfig) -> Path:
    module = config.service.partition(":")[0]
    root = project / config.source_root
    if module.endswith(".py"):
        return project / module if (project / module).is_file() else root / module
    return root / f"{module.replace('.', '/')}.py"


def _resources(syntax: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(syntax):
        if isinstance(node, ast.keyword) and node.arg == "resources":
            yield node.value


def _may_name_gpu(value: ast.expr) -> bool:
    try:
        return names_gpu(ast.literal_eval(value))
    except (ValueError, TypeError):
        return True  # computed, in a file that speaks of GPUs
