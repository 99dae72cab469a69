"""What Modal would refuse of a function, found before any call.

Sources: https://modal.com/docs/guide/scale, /docs/guide/dynamic-batching, /docs/guide/timeouts,
/docs/guide/gpu, /docs/guide/cron, and the checks of Modal's client (``App.cls``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from bentofn.adapters.capabilities import public_url
from bentofn.adapters.endpoints import endpoint_problems
from bentofn.adapters.local.core import conformity
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.modal.bento import Bento
from bentofn.adapters.modal.capabilities import CAPABILITIES
from bentofn.adapters.modal.desired import joined
from bentofn.adapters.modal.schedules import MOST_RETRIES, NotOnModal, timing
from bentofn.adapters.plan import Problem, in_order
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.schedule import MOST_RETRIES as USUAL_RETRIES
from bentofn.packager.config.model import ImageOptions

LONGEST_BATCH, LONGEST_WAIT = 1000, 600_000
"""Calls, and milliseconds, of ``@modal.batched``."""

MOST_GPUS: Mapping[str, int] = {
    "T4": 8, "L4": 8, "A10": 4, "A10G": 4, "L40S": 8, "A100": 8, "A100-40GB": 8, "A100-80GB": 8,
    "RTX-PRO-6000": 8, "H100": 8, "H100!": 8, "H200": 8, "B200": 8, "B200+": 8, "ANY": 8,
}  # fmt: skip
"""How many of each kind a container may have."""

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
_TAG = re.compile(r"[a-zA-Z0-9._-]{1,63}\Z")


def problems_of(spec: FunctionSpec, bento: Bento) -> tuple[Problem, ...]:
    """What of a function does not fit Modal, what keeps it from being deployed first.

    Args:
        spec: The function.
        bento: Its bento.
    """
    contract = bento.manifest.contract
    profile = replace(load_profile("modal"), name="Modal")
    theirs = [
        Problem("violation" if each.kind == "refused" else each.kind, "", each.sentence)
        for each in conformity.problems(profile, spec.settings, contract)
        if "GPU" not in each.sentence
    ]
    own = [
        *_scaling(spec),
        *_gpus(spec, bento),
        *_snapshots(spec),
        *_batching(spec, bento),
        *_image(bento),
    ]
    rest = [*_schedules(spec, bento), *_labels(spec), *public_url(spec.settings)]
    return in_order([*CAPABILITIES.problems(spec.settings), *theirs, *own, *rest])


def _violation(field: str, sentence: str) -> Problem:
    return Problem("violation", field, sentence)


def _scaling(spec: FunctionSpec) -> Iterator[Problem]:
    settings = spec.settings
    most = settings.reserved_concurrency  # beside it a file's own maxInstances is checked already
    if most is not None and 0 < most < settings.min_instances:
        yield _violation(
            "reservedConcurrency",
            f"reservedConcurrency ({most}) is less than minInstances ({settings.min_instances}); "
            "raise it.",
        )
    if most == 0:
        yield _violation(
            "reservedConcurrency",
            "Modal has no functions that take no calls; destroy the function instead.",
        )
    if settings.architecture == "arm64":
        yield _violation("architecture", "Modal's containers are x86_64; leave architecture out.")


def _gpus(spec: FunctionSpec, bento: Bento) -> Iterator[Problem]:
    settings = spec.settings
    resources = bento.manifest.contract.config.get("resources") or {}
    wanted = str(resources.get("gpu") or 0)
    for asked in _asked(settings):
        kind, _, count = asked.upper().partition(":")
        if kind not in MOST_GPUS:
            yield _violation(
                "gpu", f"Modal has no GPU {asked!r}; it has {', '.join(sorted(MOST_GPUS))}."
            )
        elif count and not (count.isdecimal() and 1 <= int(count) <= MOST_GPUS[kind]):
            yield _violation("gpu", f"Modal gives 1 to {MOST_GPUS[kind]} of {kind}, not {asked!r}.")
        elif wanted.isdecimal() and int(wanted) > int(count or 1):
            yield _violation(
                "gpu",
                f"{bento.tag} asks for {wanted} GPUs in its resources, and {asked} gives "
                f"{count or 1}; say {kind}:{wanted}.",
            )
    if not settings.gpu and resources.get("gpu"):
        yield _violation(
            "gpu",
            f"{bento.tag} asks for a GPU in its resources; name one of Modal's as gpu, such as L4.",
        )


def _snapshots(spec: FunctionSpec) -> Iterator[Problem]:
    settings = spec.settings
    if not settings.gpu_snapshot:
        if settings.gpu and settings.snapshot != "none":
            yield Problem(
                "differs",
                "snapshot",
                "The snapshot holds what the service imports and not the service, since there is "
                "no GPU while it is taken; gpuSnapshot: true keeps all of it.",
            )
        return
    if not settings.gpu:
        yield _violation("gpuSnapshot", "gpuSnapshot is for functions with a gpu; name one.")
    if settings.snapshot == "none":
        yield _violation("gpuSnapshot", "snapshot: none keeps no GPU memory either; leave one out.")
    several = [each for each in _asked(settings) if each.partition(":")[2] not in ("", "1")]
    if several:
        yield Problem(
            "differs",
            "gpuSnapshot",
            f"The memory of several GPUs ({several[0]}) cannot be kept while NCCL joins them: call "
            "torch.distributed.destroy_process_group in a before_snapshot hook.",
        )


def _asked(settings: FunctionSettings) -> list[str]:
    return [each for each in (settings.gpu, *settings.gpu_fallbacks) if each is not None]


def _batching(spec: FunctionSpec, bento: Bento) -> Iterator[Problem]:
    found = joined(spec.settings, bento)
    if found is None:
        return
    if not 1 <= found.size <= LONGEST_BATCH:
        yield _violation("batching", f"Modal joins 1 to 1000 calls; maxBatchSize is {found.size}.")
    if found.wait > LONGEST_WAIT:
        yield _violation(
            "batching", "Modal has a call wait for 10 minutes at most; lower maxLatencyMs."
        )
    streams = [api.name for api in bento.manifest.contract.apis if api.is_stream]
    if streams:
        yield _violation(
            "batching",
            f"{', '.join(streams)} streams, and calls that Modal joins are answered whole; "
            "say batching: true, which joins them in the service.",
        )
    if spec.settings.concurrency not in (None, 1):
        yield Problem(
            "ignored", "concurrency", "concurrency: a container has one batch of Modal's at a time."
        )


def _image(bento: Bento) -> Iterator[Problem]:
    manifest = bento.manifest
    if manifest.platform != "linux/amd64":
        yield _violation(
            "",
            f"{bento.tag} was built for {manifest.platform} and Modal runs linux/amd64; build it "
            "with: bentofn build --platform linux/amd64.",
        )
    if manifest.python not in PYTHONS:
        yield _violation("", f"Modal has no image with Python {manifest.python}.")
    if ImageOptions.from_plain(manifest.docker).dockerfile_template:
        yield _violation(
            "",
            f"{bento.tag} has a docker.dockerfile_template, which Modal's image builder does not "
            "take; name an image that was made by it as docker.base_image, or write what it does "
            "as a docker.setup_script.",
        )


def _schedules(spec: FunctionSpec, bento: Bento) -> Iterator[Problem]:
    enabled = [each for each in spec.settings.schedules if each.enabled]
    yield from endpoint_problems(enabled, [api.name for api in bento.manifest.contract.apis])
    for each in enabled:
        try:
            timing(each)
        except NotOnModal as error:
            yield _violation("events.schedule", f"Schedule {each.name!r}: {error}.")
        if each.retries > MOST_RETRIES and each.retries != USUAL_RETRIES:
            yield Problem(
                "differs", "events.schedule", f"Schedule {each.name!r} is tried again 10 times."
            )
        if each.window or each.delete:
            yield Problem(
                "ignored", "schedules", f"Schedule {each.name!r}: Modal has no flexible window."
            )


def _labels(spec: FunctionSpec) -> Iterator[Problem]:
    for name, value in spec.settings.tags.items():
        if not (_TAG.match(name) and _TAG.match(value)):
            yield _violation(
                "tags",
                f"Modal's tags are letters, digits, '.', '_' and '-', 63 at most; {name!r} is not.",
            )
