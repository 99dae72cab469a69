"""What Modal does with each field of the spec.

Sources: https://modal.com/docs/sdk/py/latest/App#cls (arguments), /docs/guide/scale,
/docs/guide/memory-snapshots, /docs/guide/webhook-proxy-auth, /docs/guide/cron, /docs/guide/gpu,
/docs/guide/region-selection.
"""

from __future__ import annotations

from bentofn.adapters.capabilities import ANY_OTHER, Capabilities, Capability

_STORE = "it is AWS's; make a Secret of Modal's and write modal:NAME"
_AWS = "AWS's own"

CAPABILITIES = Capabilities(
    "modal",
    (
        Capability("memorySize", "native", "memory, which a container may exceed"),
        Capability("timeout", "native", "timeout"),
        Capability("environment", "native", "a Secret of the app"),
        Capability("ephemeralStorageSize", "ignored", "a container has 512 GiB"),
        Capability("architecture", "native", "x86_64 only"),
        Capability("runtime", "ignored", "the image has the bento's own Python"),
        Capability("description", "ignored", "Modal keeps none"),
        Capability("tags", "native", "tags of the app"),
        Capability("name", "ignored", "the app is called as the function's section is"),
        Capability("url", "native", "a web endpoint"),
        Capability("url.cors", "emulated", "the service answers other origins"),
        Capability("url.authorizer", "emulated", "callers send a proxy auth token instead"),
        Capability("url.invokeMode RESPONSE_STREAM", "native", "answers always stream"),
        Capability("events.schedule", "native", "Cron and Period"),
        Capability("events", "ignored", "only schedules come here"),
        Capability("events.sqs", "ignored", "only schedules come here"),
        Capability("maximumRetryAttempts", "ignored", "only schedules are tried again"),
        Capability("maximumEventAge", "ignored", "only schedules are tried again"),
        Capability("destinations", "ignored", "only schedules come here"),
        Capability("reservedConcurrency", "emulated", "max_containers"),
        Capability("provisionedConcurrency", "ignored", "minInstances keeps containers here"),
        Capability("snapStart", "ignored", "snapshot says how containers start here"),
        Capability("image", "ignored", "the image is made of the bento's layers"),
        Capability(
            "package.artifact", "refused", "a zip for Lambda does not run here; name a bento"
        ),
        Capability("role", "ignored", _AWS),
        Capability("provider.iam.role", "ignored", _AWS),
        Capability("provider.region", "ignored", "regions says where it runs here"),
        Capability("provider.deploymentBucket", "ignored", _AWS),
        Capability("logRetentionInDays", "ignored", "the workspace's plan says it"),
        Capability("packaging", "ignored", "the image is made of the bento's layers"),
        Capability("secrets env", "native", "a Secret of the app"),
        Capability("secrets file", "native", "a Secret of the app"),
        Capability("secrets ssm", "refused", _STORE),
        Capability("secrets secretsmanager", "refused", _STORE),
        Capability("secrets modal", "native", "Secret.from_name"),
        Capability("cpu", "native", "cpu, which a container may exceed"),
        Capability("gpu", "native", "gpu"),
        Capability("gpu list", "native", "gpu, in this order"),
        Capability("gpuSnapshot", "native", "enable_gpu_snapshot, which Modal calls alpha"),
        Capability("concurrency", "native", "@modal.concurrent"),
        Capability("batching", "native", "@modal.batched where a size or a latency is given"),
        Capability("minInstances", "native", "min_containers"),
        Capability("maxInstances", "native", "max_containers"),
        Capability("bufferInstances", "native", "buffer_containers"),
        Capability("idleTimeout", "native", "scaledown_window"),
        Capability("onCold queue", "refused", "declare the endpoint with @bentofn.task"),
        Capability("onCold hold", "native", "requests wait"),
        Capability("onCold error", "refused", "Modal has requests wait; leave it out"),
        Capability("snapshot criu", "refused", "Modal takes its own; say snapshot: auto"),
        Capability("snapshot template", "refused", "Modal takes its own; say snapshot: auto"),
        Capability("snapshot none", "native", "no memory snapshot"),
        Capability("schedules", "emulated", "those that Modal's cron has words for"),
        Capability("regions", "native", "region, all alike"),
        Capability("as", "ignored", "it is target local's"),
        Capability("versions", "native", "the app's history"),
        Capability("promote", "refused", "all requests go to one version; use --percent 100"),
        Capability("logs", "native", "the app's logs"),
        Capability(ANY_OTHER, "ignored", _AWS),
    ),
)
