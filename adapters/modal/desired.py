"""What a function is to be on Modal: made of the spec and the bento, before anything is asked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bentofn.adapters.batching import batching_environment
from bentofn.adapters.endpoints import routes_of
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.modal.bento import Bento, model_folder
from bentofn.adapters.modal.cors import cors_variable
from bentofn.adapters.modal.entry import Batching, Shape
from bentofn.adapters.modal.record import Record, without_values
from bentofn.adapters.modal.schedules import MOST_RETRIES, Timing, timing
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.secret import secret_values
from bentofn.packager.config.model import ImageOptions
from bentofn.runtime.layout import ARCHIVE_PREFIX
from bentofn.runtime.manifest import canonical_json
from bentofn.runtime.modal_variables import CORS, LINKS

ROOT = f"/{ARCHIVE_PREFIX}"
"""The bento's root in a container."""

WEIGHTS = "/opt/bentofn-models"
"""Where the function's volume is mounted."""

WAIT_MS = 50
"""Milliseconds that a call waits for others where the spec says no latency."""

START = 300
"""Seconds that a start may take, which Modal would bound by a request's timeout otherwise."""

_LONGEST_NAME = 64
"""Characters of a volume's name."""


@dataclass(frozen=True)
class Call:
    """A call by the clock.

    Args:
        name: The schedule's name.
        timing: When.
        route: Path of the endpoint.
        body: What it gets, JSON.
        retries: Times that it is tried again.
    """

    name: str
    timing: Timing
    route: str
    body: str
    retries: int


@dataclass(frozen=True)
class Desired:
    """An app.

    Args:
        record: What is kept of it.
        bento: Its bento.
        shape: The module that its containers import.
        options: Arguments of Modal's ``App.cls``.
        python: Minor version of its interpreter.
        system_packages: Debian packages of its image.
        concurrency: Calls that a container takes at a time.
        calls: By the clock.
        environment: Variables with their values. Never printed.
        secrets: Modal's secrets by name, to the variables that each must hold.
        tags: Labels of the app.
    """

    record: Record
    bento: Bento
    shape: Shape
    options: Mapping[str, Any]
    python: str
    system_packages: tuple[str, ...]
    concurrency: int
    calls: tuple[Call, ...]
    environment: Mapping[str, str] = field(repr=False)
    secrets: Mapping[str, tuple[str, ...]]
    tags: Mapping[str, str]

    @property
    def name(self) -> str:
        """The app's name, which is the function's."""
        return self.shape.name

    @property
    def has_models(self) -> bool:
        """Whether there is anything in the volume for the containers."""
        return bool(self.bento.manifest.models)


def volume_name(function: str) -> str:
    """The name of a function's volume, where its weights and its records are."""
    name = f"bentofn.{function}"
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def desire(spec: FunctionSpec, bento: Bento) -> Desired:
    """What a function is to be.

    Args:
        spec: One that the rules let pass.
        bento: Its bento.

    Raises:
        UserError: A secret is not where the spec says.
    """
    settings, manifest = spec.settings, bento.manifest
    given = {**settings.environment, **secret_values(settings.secrets)}
    by_secret: dict[str, list[str]] = {}
    for variable, secret in sorted(settings.secrets.items()):
        if secret.source == "modal":
            by_secret.setdefault(secret.name, []).append(variable)
    batching = joined(settings, bento)
    # Modal joins a container's calls by itself only where it takes one batch at a time.
    own = load_profile("modal").pool_rules(settings, manifest.contract).concurrency
    return Desired(
        record=Record(
            without_values(spec, bento.tag, given),
            bento.tag,
            bento.digest,
            routes_of(bento.manifest.contract),
            batching is not None,
        ),
        bento=bento,
        shape=Shape(
            name=spec.name,
            root=ROOT,
            cpus=math.ceil(settings.cpu or 1),
            snapshot=snapshot_of(settings),
            web=settings.url is not None,
            proxy_auth=settings.url is not None and settings.url.authorizer is not None,
            batching=batching,
        ),
        options=_options(settings),
        python=manifest.python,
        system_packages=ImageOptions.from_plain(manifest.docker).system_packages,
        concurrency=1 if batching else own,
        calls=_calls(settings, bento),
        environment={**manifest.envs, **given, **_own_variables(spec, bento)},
        secrets={name: tuple(variables) for name, variables in by_secret.items()},
        tags={**settings.tags, "bentofn.function": spec.name},
    )


def snapshot_of(settings: FunctionSettings) -> str:
    """What a function's memory snapshot holds.

    Without a snapshot of the GPU's memory there is no GPU while it is taken, and a constructor
    that finds none would keep the model on the CPU for good.
    """
    if settings.snapshot == "none":
        return "none"
    return "imports" if settings.gpu and not settings.gpu_snapshot else "service"


def joined(settings: FunctionSettings, bento: Bento) -> Batching | None:
    """How Modal joins calls; None where it does not, and the service may do so itself."""
    asked = settings.batching
    if asked is None or not asked.enabled:
        return None
    if asked.max_batch_size is None and asked.max_latency_ms is None:
        return None
    declared = [api.max_batch_size for api in bento.manifest.contract.apis if api.batchable]
    size = asked.max_batch_size or max(declared, default=1)
    wait = WAIT_MS if asked.max_latency_ms is None else math.ceil(asked.max_latency_ms / 2)
    return Batching(size, wait)


def _options(settings: FunctionSettings) -> dict[str, Any]:
    rules: dict[str, Any] = {
        "cpu": settings.cpu,
        "memory": settings.memory,
        "gpu": [settings.gpu, *settings.gpu_fallbacks] if settings.gpu_fallbacks else settings.gpu,
        "min_containers": settings.min_instances or None,
        "max_containers": _most(settings),
        "buffer_containers": settings.buffer_instances,
        "scaledown_window": settings.idle_timeout and math.ceil(settings.idle_timeout),
        "timeout": math.ceil(settings.timeout),
        "startup_timeout": max(START, math.ceil(settings.timeout)),
        "region": list(settings.regions) or None,
        "enable_memory_snapshot": settings.snapshot != "none",
    }
    if settings.gpu_snapshot and settings.gpu:
        rules["experimental_options"] = {"enable_gpu_snapshot": True}
    return {name: value for name, value in rules.items() if value is not None}


def _most(settings: FunctionSettings) -> int | None:
    given = [settings.max_instances, settings.reserved_concurrency]
    return min((number for number in given if number is not None), default=None)


def _calls(settings: FunctionSettings, bento: Bento) -> tuple[Call, ...]:
    routes = routes_of(bento.manifest.contract)
    return tuple(
        Call(
            each.name,
            timing(each),
            routes[each.api] if each.api else next(iter(routes.values())),
            each.input or "{}",
            min(each.retries, MOST_RETRIES),
        )
        for each in settings.schedules
        if each.enabled
    )


def _own_variables(spec: FunctionSpec, bento: Bento) -> dict[str, str]:
    own = {"BENTOFN_FUNCTION": spec.name, "BENTOFN_ROOT": ROOT}
    own |= batching_environment(spec.settings.batching)
    models = bento.manifest.models
    if models:
        folders = {f"{m.name}/{m.version}": f"{WEIGHTS}/{model_folder(m)}" for m in models}
        own[LINKS] = canonical_json(folders).decode()
    if spec.settings.url is not None and spec.settings.url.cors is not None:
        own[CORS] = cors_variable(spec.settings.url.cors)
    return own
