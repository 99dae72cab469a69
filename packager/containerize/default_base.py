"""The base image that a bento is put on where the command line names none, as BentoML chooses it.

Source: BentoML 1.4's ``container/frontend/dockerfile/__init__.py`` and ``images.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bentofn.packager.config.model import ImageOptions
from bentofn.runtime.errors import UserError

_IMAGES: Mapping[str, str] = {
    "debian": "docker.io/library/python:{python}-slim",
    "ubi8": "registry.access.redhat.com/ubi8/python-{digits}:latest",
}

NVIDIA = {
    "NVIDIA_VISIBLE_DEVICES": "all",
    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
}
"""Variables by which the NVIDIA container runtime gives a container the GPUs and their driver.

Source: https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html
"""

_CUDA_PACKAGES = ("nvidia-cuda-runtime", "nvidia-cublas", "nvidia-cudnn")


def default_base(options: ImageOptions, python: str, platform: str) -> str:
    """The image to put a bento on.

    Args:
        options: What its bentofile says.
        python: Minor version of its interpreter.
        platform: OCI platform.

    Raises:
        UserError: No image of the distribution has that Python.
    """
    if options.base_image:
        return options.base_image
    distro = options.distro or "debian"
    if distro not in _IMAGES:
        raise UserError(
            f"There is no image of {distro} with Python {python} to build on; name one with --base "
            "or docker.base_image, or leave docker.distro out (Debian)."
        )
    return _IMAGES[distro].format(python=python, digits=python.replace(".", ""))


def cuda_variables(options: ImageOptions, lock: Sequence[str]) -> dict[str, str]:
    """The variables that a container needs to be given GPUs; none for a bento without CUDA.

    An ``nvidia/cuda`` image has no Python, and the wheels of torch and its kin bring the CUDA
    libraries with them; the driver comes from the host. So the base stays one with Python.

    Args:
        options: What the bentofile says.
        lock: The bento's requirements.

    Raises:
        UserError: CUDA is asked for and no package brings it.
    """
    names = {line.partition("==")[0].strip().lower().replace("_", "-") for line in lock}
    brought = any(name.startswith(_CUDA_PACKAGES) for name in names)
    if options.cuda_version and not brought:
        raise UserError(
            f"docker.cuda_version asks for CUDA {options.cuda_version}, and no package of the "
            "bento brings its libraries (as torch's nvidia-* packages do); build on an image with "
            "CUDA and Python by docker.base_image or --base."
        )
    if not brought:
        return {}
    if not options.cuda_version:
        return dict(NVIDIA)
    major_minor = ".".join(options.cuda_version.split(".")[:2])
    return {**NVIDIA, "NVIDIA_REQUIRE_CUDA": f"cuda>={major_minor}"}
