"""torch's CPU build, for a service that runs on no GPU.

On Linux, PyPI's torch is the CUDA build, which brings its libraries along. The CPU build is another
build of the same version, ``2.9.0+cpu``, in an index of PyTorch's own. uv's ``--torch-backend cpu``
asks that index alone; here the indexes and wheel folders that the user set up come first, so that a
mirror or a folder of wheels does as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from bentofn.packager.environment.index_settings import IndexSettings
from bentofn.packager.environment.requirements import Requirements
from bentofn.runtime.errors import UserError

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""https://pytorch.org/get-started/locally/"""

FAMILY = ("torch", "torchvision", "torchaudio")
"""What PyTorch builds anew for each backend, each build fitting only its own torch."""

CUDA_SIZE = "4.5 GB"
"""Installed size of torch 2.14.1 for CUDA with the libraries that it requires, on linux/amd64."""

PATIENCE = 15
"""Seconds to wait for an index that the user did not name."""

_CPU_WHEEL = re.compile(r"torch-(?P<version>\d+(\.\d+)*)(\+|%2B)cpu-.+\.whl", re.IGNORECASE)


def is_cuda(versions: Mapping[str, str]) -> bool:
    """Whether a lock holds the CUDA build of torch, not chosen by its local version.

    Args:
        versions: Package to version.
    """
    chosen = "+" in versions.get("torch", "+")
    return not chosen and any(name.startswith("nvidia-") for name in versions)


def is_cpu(versions: Mapping[str, str]) -> bool:
    """Whether a lock holds the CPU build of torch by its local version."""
    return versions.get("torch", "").endswith("+cpu")


def cpu_attempts(versions: Mapping[str, str], requirements: Requirements) -> Iterator[Requirements]:
    """Requirements that are met by a CPU build, if one can be had, the most wanted first.

    Args:
        versions: Package to version of a lock with the CUDA build.
        requirements: What that lock satisfies.
    """
    builds = tuple(f"{name}=={versions[name]}+cpu" for name in FAMILY if name in versions)
    yield _constrained(requirements, *builds)
    if len(builds) == 1:
        for version in _cpu_wheels(requirements.settings):
            if version != versions["torch"]:
                yield _constrained(requirements, f"torch=={version}+cpu")
    settings = with_cpu_index(requirements.settings)
    if settings is not None:
        cuda = ("nvidia-", "triton", "cuda-")
        others = (
            f"{name}=={version}"
            for name, version in versions.items()
            if name not in FAMILY and not name.startswith(cuda)
        )
        yield replace(_constrained(requirements, *others, *builds), settings=settings)


def is_for_want_of(message: str, versions: Mapping[str, str]) -> bool:
    """Whether an installer says that it finds no CPU build which a lock holds.

    Args:
        message: What it says.
        versions: Package to version of the lock.
    """
    wanted = (f"{name}=={versions.get(name)}" for name in FAMILY)
    return is_cpu(versions) and any(build in message for build in wanted)


def with_cpu_index(settings: IndexSettings) -> IndexSettings | None:
    """The settings with PyTorch's index of CPU builds, if it may be asked."""
    index = settings.torch_cpu_index
    if index is None or settings.no_index:
        return None
    return replace(settings.with_options(extra_index_urls=(index,)), timeout=PATIENCE, retries=1)


def build_note(
    versions: Mapping[str, str],
    gpu: bool,
    *,
    is_option: bool = False,
    speaks_of_cuda: bool = False,
) -> str | None:
    """What to tell the user of a build of torch that is not the service's, as a sentence.

    Args:
        versions: Package to version.
        gpu: Whether the service runs on a GPU.
        is_option: Whether that is what the user said (``--gpu``, ``--cpu``), not the service.
        speaks_of_cuda: Whether its code does.
    """
    version = versions.get("torch", "")
    if gpu and is_cpu(versions):
        asked = "--gpu asks for the other" if is_option else "the service asks for a GPU"
        return (
            f"torch {version} is the CPU build, although {asked}; ask for "
            "another version, or take out of pip's configuration what offers this one."
        )
    if not gpu and not is_option and speaks_of_cuda and is_cpu(versions):
        return (
            f"torch {version} is the CPU build, because the service asks for no GPU, although its "
            'code speaks of CUDA; declare resources={"gpu": 1} or build with --gpu if it needs one.'
        )
    if gpu or not is_cuda(versions):
        return None
    asked = "--cpu asks for the other" if is_option else "the service asks for no GPU"
    return (
        f"torch {version} is the CUDA build, some {CUDA_SIZE} unpacked, although {asked}, "
        f"because no torch {version}+cpu could be had; put {CPU_INDEX} under "
        "python.extra_index_url or a wheel of it under python.wheels, or build with --gpu if it "
        "needs one."
    )


def needs_cuda(versions: Mapping[str, str]) -> bool:
    """Whether a lock holds a CUDA build of torch, chosen by its local version or not."""
    return "+cu" in versions.get("torch", "") or is_cuda(versions)


def refuse_cuda(versions: Mapping[str, str], where: str) -> None:
    """Make sure, before anything is installed, that what has no GPU gets no build for one.

    Args:
        versions: Package to version of a lock.
        where: What has no GPU, such as ``Target aws-lambda``.

    Raises:
        UserError: It holds torch's CUDA build.
    """
    if needs_cuda(versions):
        version = versions["torch"].partition("+")[0]
        raise UserError(
            f"{where} has no GPU, and of torch {version} only the CUDA build could be had, some "
            f"{CUDA_SIZE} unpacked; its CPU builds are in {CPU_INDEX}: check that it can be "
            "reached and has one for this Python, or put a wheel of it under python.wheels."
        )


def _constrained(requirements: Requirements, *constraints: str) -> Requirements:
    return replace(requirements, constraints=(*requirements.constraints, *constraints))


def _cpu_wheels(settings: IndexSettings) -> list[str]:
    """Versions of the CPU builds in folders of wheels, the newest first."""
    folders = [Path(link.removeprefix("file://")) for link in settings.find_links]
    names = (wheel.name for folder in folders for wheel in folder.glob("torch-*.whl"))
    found = {match["version"] for name in names if (match := _CPU_WHEEL.fullmatch(name))}
    return sorted(found, key=lambda v: tuple(map(int, v.split("."))), reverse=True)
