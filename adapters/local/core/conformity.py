"""What a backend would say to a function, told when it is deployed as that backend's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from bentofn.adapters.local.core.profile import Profile
from bentofn.adapters.local.core.tuning import BUFFER, tunable
from bentofn.adapters.protocol import FunctionSettings
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import ServiceContract


@dataclass(frozen=True)
class Problem:
    """What does not fit.

    Args:
        kind: ``refused`` (the backend does not take it), ``ignored`` (it takes it, and does
            nothing of the kind), or ``differs`` (it does it otherwise than here, or than one would
            think of a function that does not say).
        sentence: One sentence.
    """

    kind: Literal["refused", "ignored", "differs"]
    sentence: str


def problems(
    profile: Profile,
    settings: FunctionSettings,
    contract: ServiceContract,
    machine_limit: int | None = None,
) -> tuple[Problem, ...]:
    """What of a function does not fit a backend, refusals first.

    Args:
        profile: The backend's rules.
        settings: The function's.
        contract: Its service's.
        machine_limit: As for :meth:`bentofn.adapters.local.core.profile.Profile.pool_rules`.
    """
    subject = _Subject(profile, settings, contract, machine_limit)
    found = [problem for check in _CHECKS for problem in check(subject)]
    order = ("refused", "ignored", "differs")
    return tuple(sorted(found, key=lambda problem: order.index(problem.kind)))


def differences_of(
    name: str,
    profile: Profile,
    settings: FunctionSettings,
    contract: ServiceContract,
    machine_limit: int | None = None,
) -> str:
    """What a backend does otherwise with a function, or not at all, in a line.

    Args:
        name: The function.
        profile: The backend's rules.
        settings: The function's.
        contract: Its service's.
        machine_limit: As for :func:`problems`.

    Raises:
        UserError: The backend does not take the function.
    """
    found = problems(profile, settings, contract, machine_limit)
    refused = [problem.sentence for problem in found if problem.kind == "refused"]
    if refused:
        raise UserError(f"{profile.name} refuses {name}: {' '.join(refused)}")
    return "; ".join(problem.sentence for problem in found)


@dataclass(frozen=True)
class _Subject:
    profile: Profile
    settings: FunctionSettings
    contract: ServiceContract
    machine_limit: int | None


def _configuration(subject: _Subject) -> Iterator[Problem]:
    name, settings = subject.profile.name, subject.settings
    instance, timeouts = subject.profile.instance, subject.profile.timeouts
    scaling = subject.profile.scaling
    for key, value, least, most in (
        ("memorySize", settings.memory, instance.memory_min, instance.memory_max),
        ("timeout", settings.timeout, None, timeouts.request_max),
        ("idleTimeout", settings.idle_timeout, scaling.idle_min, scaling.idle_max),
        ("cpu", settings.cpu, None, None if instance.memory_per_cpu else instance.cpu_max),
    ):
        if value is not None and most is not None and value > most:
            yield Problem("refused", _constraint(name, key, value, "less", most))
        if value is not None and least is not None and value < least:
            yield Problem("refused", _constraint(name, key, value, "greater", least))


def _constraint(name: str, key: str, value: float, than: str, bound: float) -> str:
    if name.lower() == "lambda":
        # The API's own words: ValidationException of CreateFunction.
        return (
            f"1 validation error detected: Value '{value:g}' at '{key}' failed to satisfy "
            f"constraint: Member must have value {than} than or equal to {bound:g}"
        )
    word = "most" if than == "less" else "least"
    article = "an" if key == "idleTimeout" else "a"
    limit = f"{bound:g} {_UNITS[key]} at {word}"
    return f"{name} takes {article} {key} of {limit}; it is {value:g}."


_UNITS = {"memorySize": "MB", "timeout": "seconds", "idleTimeout": "seconds", "cpu": "CPUs"}


def _cpu(subject: _Subject) -> Iterator[Problem]:
    if subject.settings.cpu is not None and subject.profile.instance.memory_per_cpu:
        yield Problem("ignored", f"cpu: on {subject.profile.name} it goes by memorySize")


def _memory(subject: _Subject) -> Iterator[Problem]:
    instance, size = subject.profile.instance, subject.profile.size(subject.settings)
    if subject.settings.memory is None and instance.memory_per_cpu:
        yield Problem(
            "differs",
            f"memorySize is not set: {size.memory} MB, the Serverless Framework's default, and by "
            f"it {size.cpu:.2g} CPUs",
        )


def _concurrency(subject: _Subject) -> Iterator[Problem]:
    most, asked = subject.profile.instance.concurrency_max, subject.settings.concurrency
    if most is not None and asked is not None and asked > most:
        requests = "one request" if most == 1 else f"at most {most} requests"
        yield Problem(
            "refused",
            f"An instance on {subject.profile.name} has {requests} at a time; concurrency is "
            f"{asked}.",
        )


def _gpu(subject: _Subject) -> Iterator[Problem]:
    if subject.settings.gpu is not None and subject.profile.instance.gpu == "none":
        gpu = subject.settings.gpu
        yield Problem("refused", f"{subject.profile.name} has no GPUs; gpu is {gpu}.")


def _services(subject: _Subject) -> Iterator[Problem]:
    others = [each.name for each in subject.contract.services]
    if others and not subject.profile.instance.services:
        yield Problem(
            "refused",
            f"A function on {subject.profile.name} is one process; {subject.contract.name} has "
            f"other services beside it ({', '.join(others)}).",
        )


def _batching(subject: _Subject) -> Iterator[Problem]:
    batched = [api.name for api in subject.contract.apis if api.batchable]
    said = subject.settings.batching
    if said is not None and not said.enabled:
        return
    if batched and not subject.profile.instance.batching:
        yield Problem(
            "ignored",
            f"{', '.join(batched)}: an instance on {subject.profile.name} has one request at a "
            "time, so requests are not joined into batches",
        )


def _streaming(subject: _Subject) -> Iterator[Problem]:
    streams = [api.name for api in subject.contract.apis if api.is_stream]
    if streams and not subject.profile.instance.streaming:
        yield Problem(
            "differs",
            f"{', '.join(streams)}: {subject.profile.name} does not stream from Python, the "
            "answer is sent when it is whole",
        )


def _invoke_mode(subject: _Subject) -> Iterator[Problem]:
    url, name = subject.settings.url, subject.profile.name
    streams = url is not None and url.invoke_mode == "RESPONSE_STREAM"
    if streams and not subject.profile.instance.streaming:
        yield Problem(
            "differs",
            f"url.invokeMode RESPONSE_STREAM: {name} does not stream from Python; its URL sends "
            "what the handler returned as it is, status and headers as JSON too, of which BUFFERED "
            "makes a response",
        )


def _idle_timeout(subject: _Subject) -> Iterator[Problem]:
    scaling = subject.profile.scaling
    if subject.settings.idle_timeout is None or scaling.idle_settable:
        return
    name = subject.profile.name
    if subject.profile.goes_by_metric:
        yield Problem("ignored", f"idleTimeout: instances on {name} go by its metric")
    else:
        yield Problem("differs", f"idleTimeout: {name} decides itself how long an instance stays")


def _buffer(subject: _Subject) -> Iterator[Problem]:
    asked = subject.settings.buffer_instances
    if asked and BUFFER not in tunable(subject.profile.constants):
        yield Problem(
            "ignored",
            f"{BUFFER}: {subject.profile.name} keeps none beside busy ones; minInstances keeps "
            "some always",
        )


def _on_cold(subject: _Subject) -> Iterator[Problem]:
    if subject.settings.on_cold == "hold" and subject.profile.overflow.at_zero == "refuse":
        yield Problem(
            "refused",
            f"{subject.profile.name} refuses requests while no instance serves; onCold is hold.",
        )


def _instances(subject: _Subject) -> Iterator[Problem]:
    limit, theirs = subject.machine_limit, subject.profile.scaling.max_instances
    settings = subject.settings
    if settings.reserved_concurrency is not None:
        theirs = min(theirs, settings.reserved_concurrency)
    if limit is not None and limit < theirs and settings.max_instances is None:
        yield Problem(
            "differs",
            f"{subject.profile.name} would start up to {theirs} instances, this machine starts "
            f"{limit} unless maxInstances says more",
        )


_CHECKS: tuple[Callable[[_Subject], Iterator[Problem]], ...] = (
    _configuration,
    _cpu,
    _memory,
    _concurrency,
    _gpu,
    _services,
    _batching,
    _streaming,
    _invoke_mode,
    _idle_timeout,
    _on_cold,
    _buffer,
    _instances,
)
