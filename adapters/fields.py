"""The fields of the spec by the names that they have in ``serverless.yml``.

Adapters say of each what their target does with it, a plan tells what of them differs, and the
documentation lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from bentofn.adapters.queues import sqs_events
from bentofn.adapters.schedules import other_events
from bentofn.adapters.settings import FunctionSettings

Section = Literal["framework", "bentofn", "verb"]


@dataclass(frozen=True)
class Field:
    """A field of the spec, or something that is done with a function.

    Args:
        name: Dotted, as in a function's section; in the provider's it begins with ``provider``.
            A field of which targets take some values and not others has its values after a space.
        section: Whose word it is: the framework's, ours under ``custom.bentofn.functions.NAME``,
            or a command's.
        meaning: A few words.
        value: What it is in a function's settings.
    """

    name: str
    section: Section
    meaning: str
    value: Callable[[FunctionSettings], Any]

    def stated(self, settings: FunctionSettings) -> bool:
        """Whether the settings say other than they would by default."""
        return bool(self.value(settings) != self.value(_DEFAULT))


_DEFAULT = FunctionSettings()
_ANY_SCHEDULE = "events.schedule"


def _aws(attribute: str) -> Callable[[FunctionSettings], Any]:
    return lambda settings: getattr(settings.aws, attribute)


def _url(attribute: str) -> Callable[[FunctionSettings], Any]:
    return lambda settings: settings.url and getattr(settings.url, attribute)


def _rules(*attributes: str) -> Callable[[FunctionSettings], Any]:
    def value(settings: FunctionSettings) -> Any:
        found = [getattr(settings.event_rules, each, None) for each in attributes]
        return found if any(each is not None for each in found) else None

    return value


def _schedules(settings: FunctionSettings) -> Any:
    return [f"{each.name}: {each.expression} {each.timezone}" for each in settings.schedules]


def _others(events: tuple[Any, ...]) -> list[str]:
    return [each for each in other_events(events) if each != "sqs"]


def _later(settings: FunctionSettings) -> Any:
    """What of schedules EventBridge's rules have no word for."""
    return [
        each.name
        for each in settings.schedules
        if each.method == "scheduler" or each.start or each.end or each.window or each.delete
    ]


def _profile(settings: FunctionSettings) -> str:
    tuning = settings.tuning.get(settings.profile, {})
    own = ", ".join(f"{name}: {value}" for name, value in sorted(tuning.items()))
    return f"{settings.profile} with {own}" if own else settings.profile


FIELDS: tuple[Field, ...] = (
    Field("memorySize", "framework", "MiB of an instance", lambda s: s.memory),
    Field("timeout", "framework", "seconds of a request", lambda s: s.timeout),
    Field("environment", "framework", "variables", lambda s: sorted(s.environment)),
    Field("ephemeralStorageSize", "framework", "MiB of /tmp", lambda s: s.scratch),
    Field("architecture", "framework", "x86_64 or arm64", lambda s: s.architecture),
    Field("runtime", "framework", "the Python that AWS brings", _aws("runtime")),
    Field("description", "framework", "for people", lambda s: s.description),
    Field("tags", "framework", "labels of what is made", lambda s: dict(s.tags)),
    Field("name", "framework", "the function's name there", _aws("name")),
    Field(
        "url", "framework", "an address, public unless url.authorizer", lambda s: s.url is not None
    ),
    Field("url.cors", "framework", "who may call it from a browser", _url("cors")),
    Field("url.authorizer", "framework", "callers must sign or have a token", _url("authorizer")),
    Field(
        "url.invokeMode RESPONSE_STREAM",
        "framework",
        "an answer is sent as it comes",
        lambda s: s.url is not None and s.url.invoke_mode == "RESPONSE_STREAM",
    ),
    Field(_ANY_SCHEDULE, "framework", "called by the clock", _schedules),
    Field("events.sqs", "framework", "called with messages", lambda s: sqs_events(s.events)),
    Field("events", "framework", "called by other events", lambda s: _others(s.events)),
    Field("maximumRetryAttempts", "framework", "of events", _rules("retries")),
    Field("maximumEventAge", "framework", "of events", _rules("age")),
    Field("destinations", "framework", "who hears of events", _rules("on_success", "on_failure")),
    Field(
        "reservedConcurrency", "framework", "instances at most", lambda s: s.reserved_concurrency
    ),
    Field(
        "provisionedConcurrency",
        "framework",
        "environments kept initialised",
        _aws("provisioned_concurrency"),
    ),
    Field("snapStart", "framework", "AWS's snapshots", _aws("snap_start")),
    Field("image", "framework", "packaged as an image, under this address", _aws("image")),
    Field("package.artifact", "framework", "a zip made elsewhere", _aws("artifact")),
    Field("role", "framework", "what it runs as", _aws("role")),
    Field(
        "provider.iam.role",
        "framework",
        "what the role that is made may do too",
        lambda s: (s.aws.statements, s.aws.managed_policies, s.aws.permissions_boundary),
    ),
    Field("provider.region", "framework", "AWS's region", _aws("region")),
    Field("provider.deploymentBucket", "framework", "where zips are put", _aws("bucket")),
    Field("logRetentionInDays", "framework", "how long logs are kept", _aws("log_retention")),
    Field("packaging", "bentofn", "zip or image", lambda s: s.aws.package),
    Field("secrets env", "bentofn", "of the machine that deploys", lambda s: _from(s, "env")),
    Field("secrets file", "bentofn", "of the machine that deploys", lambda s: _from(s, "file")),
    Field("secrets ssm", "bentofn", "Parameter Store", lambda s: _from(s, "ssm")),
    Field("secrets secretsmanager", "bentofn", "AWS's", lambda s: _from(s, "secretsmanager")),
    Field("secrets modal", "bentofn", "a Secret of Modal's", lambda s: _from(s, "modal")),
    Field("cpu", "bentofn", "cores of an instance", lambda s: s.cpu),
    Field("gpu", "bentofn", "the GPU of an instance", lambda s: s.gpu),
    Field("gpu list", "bentofn", "which GPUs will do too", lambda s: list(s.gpu_fallbacks)),
    Field("gpuSnapshot", "bentofn", "snapshots of GPU memory", lambda s: s.gpu_snapshot),
    Field("concurrency", "bentofn", "requests at a time in an instance", lambda s: s.concurrency),
    Field("batching", "bentofn", "how requests are joined", lambda s: s.batching),
    Field("minInstances", "bentofn", "kept without requests", lambda s: s.min_instances),
    Field("maxInstances", "bentofn", "at most", lambda s: s.max_instances),
    Field("bufferInstances", "bentofn", "kept idle beside busy ones", lambda s: s.buffer_instances),
    Field("idleTimeout", "bentofn", "seconds that an idle one stays", lambda s: s.idle_timeout),
    Field("onCold queue", "bentofn", "answered later", lambda s: s.on_cold == "queue"),
    Field("onCold hold", "bentofn", "the request waits", lambda s: s.on_cold == "hold"),
    Field("onCold error", "bentofn", "refused while one starts", lambda s: s.on_cold == "error"),
    Field("snapshot criu", "bentofn", "ours, on disk", lambda s: s.snapshot == "criu"),
    Field("snapshot template", "bentofn", "a warmed parent", lambda s: s.snapshot == "template"),
    Field("snapshot none", "bentofn", "plain starts", lambda s: s.snapshot == "none"),
    Field("schedules", "bentofn", "dates, windows, once only", _later),
    Field("regions", "bentofn", "where it may run", lambda s: list(s.regions)),
    Field("as", "bentofn", "the backend whose rules it runs by", _profile),
)
"""All of them, in the order of the documentation."""

VERBS: tuple[Field, ...] = (
    Field("versions", "verb", "bentofn versions, rollback", lambda s: None),
    Field("promote", "verb", "a share of the requests", lambda s: None),
    Field("logs", "verb", "bentofn logs", lambda s: None),
)
"""What is done with a function that is deployed, as far as targets differ in it."""

NAMES: tuple[str, ...] = tuple(field.name for field in (*FIELDS, *VERBS))


def stated(settings: FunctionSettings) -> Iterator[str]:
    """The names of the fields that settings say something of, those that the framework alone has a
    word for among them."""
    for field in FIELDS:
        if field.stated(settings):
            yield field.name
    yield from settings.aws.others


def _from(settings: FunctionSettings, source: str) -> list[str]:
    return sorted(name for name, each in settings.secrets.items() if each.source == source)
