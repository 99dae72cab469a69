"""What the local platform does with each field of the spec."""

from __future__ import annotations

from bentofn.adapters.capabilities import ANY_OTHER, Capabilities, Capability, Support


def _rows(support: Support, **how: str) -> tuple[Capability, ...]:
    return tuple(Capability(field.replace("__", "."), support, text) for field, text in how.items())


_STORE = "its value is in a store that this machine does not reach; say targets.local.secrets"

CAPABILITIES = Capabilities(
    "local",
    (
        *_rows(
            "native",
            memorySize="a limit of the instance, which is ended over it",
            timeout="the request is answered with 504",
            environment="",
            ephemeralStorageSize="a /tmp of its own, where the host permits it",
            url="under the platform's address, which is this machine's alone",
            url__cors="",
            url__authorizer="of functions that run as lambda",
            events__schedule="EventBridge's rules, in the platform's time",
            maximumRetryAttempts="of functions that run as lambda",
            maximumEventAge="of functions that run as lambda",
            destinations="of functions that run as lambda, to functions of this platform",
            onError="of functions that run as lambda, into files",
            reservedConcurrency="instances at most",
            cpu="threads and a limit of the instance",
            concurrency="",
            batching="the runtime's own batcher",
            minInstances="",
            maxInstances="",
            bufferInstances="unless the profile keeps none",
            idleTimeout="unless the profile decides it itself",
            schedules="as EventBridge Scheduler",
            versions="every version that was deployed",
            logs="",
        ),
        Capability("secrets env", "native", "kept in the platform's memory"),
        Capability("secrets file", "native", "kept in the platform's memory"),
        Capability("as", "native", "a platform profile"),
        Capability("url.invokeMode RESPONSE_STREAM", "native", "answers always stream"),
        Capability("onCold hold", "native", "the request waits"),
        Capability("snapshot criu", "native", "restored from disk; Linux and root"),
        Capability("snapshot template", "native", "forked from a warmed parent"),
        Capability("snapshot none", "native"),
        Capability("gpuSnapshot", "native", "GPU memory kept on disk; CRIU, driver 570"),
        *_rows(
            "ignored",
            architecture="instances have this machine's processor",
            runtime="instances run the bento's own Python",
            description="it is not kept",
            tags="they are not kept",
            name="the function is called as its section is",
            events="only schedules come here",
            events__sqs="only schedules come here",
            provisionedConcurrency="minInstances keeps instances here",
            snapStart="snapshot says how instances start here",
            image="instances run the bento itself",
            packaging="instances run the bento itself",
            package__artifact="instances run the bento itself",
            role="there is nothing here that a role would open",
            provider__iam__role="there is nothing here that a role would open",
            provider__region="this machine is where it is",
            provider__deploymentBucket="nothing is uploaded",
            logRetentionInDays="logs are kept up to a size",
            regions="this machine is where it is",
        ),
        Capability("gpu list", "ignored", "this machine has the GPUs that it has"),
        Capability(ANY_OTHER, "ignored", "AWS's own"),
        Capability("gpu", "emulated", "functions take turns on this machine's GPUs, if it has any"),
        Capability("secrets ssm", "refused", _STORE),
        Capability("secrets secretsmanager", "refused", _STORE),
        Capability("secrets modal", "refused", _STORE),
        Capability("onCold queue", "refused", "declare the endpoint with @bentofn.task"),
        Capability("onCold error", "refused", "run it as a backend that refuses: as: lambda"),
        Capability(
            "promote",
            "refused",
            "all requests go to one version; use --percent 100, or the weights of an alias "
            "(aws lambda update-alias) for a function that runs as lambda",
        ),
    ),
)
