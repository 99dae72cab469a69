"""What of a bento does not fit Lambda."""

from __future__ import annotations

from collections.abc import Iterator

from bentofn.adapters.plan import Problem
from bentofn.adapters.protocol import FunctionSettings
from bentofn.packager.environment.resolve import Lock
from bentofn.packager.environment.torch_build import needs_cuda
from bentofn.runtime.manifest import BentoManifest


def problems_of_bento(settings: FunctionSettings, manifest: BentoManifest) -> Iterator[Problem]:
    """What of a bento is not what its function says, or is of no use on Lambda.

    Args:
        settings: How the function runs.
        manifest: The bento's.
    """
    yield from _gpu(settings, manifest)
    machine = {"linux/amd64": "x86_64", "linux/arm64": "arm64"}.get(manifest.platform)
    if settings.architecture is not None and machine is not None:
        asked = settings.architecture
        if asked != machine:
            platform = "linux/arm64" if asked == "arm64" else "linux/amd64"
            yield Problem(
                "violation",
                "architecture",
                f"architecture is {asked} and {manifest.tag} was built for {manifest.platform}; "
                f"build it with: bentofn build --platform {platform}.",
            )
    runtime = settings.aws.runtime
    if runtime is not None and runtime != f"python{manifest.python}":
        yield Problem(
            "violation",
            "runtime",
            f"runtime is {runtime} and {manifest.tag} was built for Python {manifest.python}; "
            f"build it with: bentofn build --python-version {runtime.removeprefix('python')}.",
        )


def _gpu(settings: FunctionSettings, manifest: BentoManifest) -> Iterator[Problem]:
    versions = Lock(manifest.lock).versions
    if needs_cuda(versions):
        yield Problem(
            "violation",
            "",
            f"{manifest.tag} holds torch {versions['torch']}, a build for CUDA, and Lambda has no "
            "GPU; build it with: bentofn build --cpu.",
        )
    resources = manifest.contract.config.get("resources") or {}
    if resources.get("gpu") and settings.gpu is None:
        yield Problem(
            "differs",
            "gpu",
            f"{manifest.tag} asks for a GPU in its resources; on Lambda it runs on the CPU.",
        )
