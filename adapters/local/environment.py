"""What an instance inherits: nothing but what is listed here, and how many threads it gets."""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Mapping
from typing import Any

from bentofn.adapters.batching import batching_environment
from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.protocol import FunctionSpec

INHERITED = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR",
    "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER",
)  # fmt: skip
"""The last say where NVIDIA's driver is in many containers (``/usr/local/nvidia/lib64``), and which
GPUs the platform may use."""

MACHINE_LIMIT = max(16, 4 * (os.cpu_count() or 1))
"""Instances of a function that this machine is asked for, where it names no ``maxInstances``."""


def instance_environment(
    spec: FunctionSpec, bento: LocalBento, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment of a function's processes, without its secrets.

    The bento's variables override the machine's, and the spec's override the bento's.
    """
    given = spec.settings.environment.items()
    open_ones = {name: value for name, value in given if name not in spec.settings.secrets}
    inherited = {name: environ[name] for name in INHERITED if name in environ}
    own = {"BENTOFN_FUNCTION": spec.name, "BENTOFN_ROOT": str(bento.root.path)}
    own |= batching_environment(spec.settings.batching)
    return {**inherited, **bento.manifest.envs, **open_ones, **own}


def thread_count(spec: FunctionSpec, bento: LocalBento) -> int:
    """Compute threads of an instance: the spec's cpu, else the service's, else all there are.

    Never more than the CPUs that the platform may use: threads that take turns wait for each other
    at every parallel region's end.
    """
    resources = bento.manifest.contract.config.get("resources") or {}
    cpu = spec.settings.cpu or _cores(resources.get("cpu"))
    usable = usable_cpus()
    return max(1, min(math.ceil(cpu), usable)) if cpu else usable


def usable_cpus() -> int:
    """CPUs that this process, and so its children, may run on."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cores(quantity: Any) -> float | None:
    """Kubernetes's notation, as BentoML takes it: 2, "2" or "500m"."""
    text = str(quantity) if quantity is not None else ""
    try:
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
    except ValueError:
        return None


def fingerprint(environment: Mapping[str, str]) -> str:
    """What tells an environment from others, without the secrets in it."""
    return hashlib.sha256(json.dumps(sorted(environment.items())).encode()).hexdigest()
