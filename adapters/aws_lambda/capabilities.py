"""What AWS Lambda does with each field of the spec.

Sources: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html,
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html and
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
"""

from __future__ import annotations

from bentofn.adapters.capabilities import ANY_OTHER, Capabilities, Capability, Support


def _rows(support: Support, **how: str) -> tuple[Capability, ...]:
    return tuple(Capability(field.replace("__", "."), support, text) for field, text in how.items())


_ONE = "an environment has one request at a time"
_OWN = "Lambda's own is SnapStart; say snapshot: auto"
_NO_GPU = "Lambda has no GPUs; use target modal for this function"

CAPABILITIES = Capabilities(
    "aws-lambda",
    (
        *_rows(
            "native",
            memorySize="128 to 10240 MB, which say the CPUs too; 1024 by default",
            timeout="up to 900 s",
            environment="variables of the function",
            ephemeralStorageSize="512 to 10240 MB",
            architecture="that of the bento",
            runtime="that of the bento",
            description="",
            tags="of all that is made",
            name="the function's name in AWS",
            url="a function URL of the alias",
            url__cors="of the function URL",
            url__authorizer="AWS_IAM",
            events__schedule="EventBridge Scheduler, to the alias",
            events__sqs="an event source mapping of the alias, ReportBatchItemFailures",
            maximumRetryAttempts="of asynchronous invocations",
            maximumEventAge="of asynchronous invocations",
            destinations="of asynchronous invocations",
            reservedConcurrency="",
            provisionedConcurrency="of the alias",
            snapStart="of zips with Python 3.12 or later; on where nothing is against it",
            packaging="a zip with layers, or an image in ECR",
            role="",
            provider__iam__role="statements, managed policies and boundary of the role",
            provider__region="where the chain of credentials says none",
            provider__deploymentBucket="",
            logRetentionInDays="",
            schedules="EventBridge Scheduler",
            versions="published versions behind an alias",
            promote="the alias's weights",
            logs="CloudWatch Logs",
        ),
        *_rows(
            "emulated",
            minInstances="provisioned concurrency",
            maxInstances="reserved concurrency",
        ),
        Capability("secrets env", "native", "a variable of the function, which Lambda encrypts"),
        Capability("secrets file", "native", "a variable of the function, which Lambda encrypts"),
        Capability(
            "secrets ssm", "emulated", "read when it is deployed, as a variable of the function"
        ),
        Capability(
            "secrets secretsmanager",
            "emulated",
            "read when it is deployed, as a variable of the function",
        ),
        Capability("secrets modal", "refused", "it is Modal's; write ssm:NAME"),
        Capability("onCold hold", "native", "a request waits for its environment"),
        Capability("onCold queue", "refused", "declare the endpoint with @bentofn.task"),
        Capability("onCold error", "refused", "Lambda has requests wait; leave it out"),
        Capability("snapshot none", "native", "no SnapStart"),
        Capability("snapshot criu", "refused", _OWN),
        Capability("snapshot template", "refused", _OWN),
        Capability(
            "url.invokeMode RESPONSE_STREAM",
            "refused",
            "Lambda's Python answers when the answer is whole; leave invokeMode out",
        ),
        *_rows(
            "refused",
            gpu=_NO_GPU,
            gpuSnapshot=_NO_GPU,
            concurrency=f"{_ONE}; leave it out",
            batching=f"{_ONE}, so requests are not joined; send several items in one",
            regions="a function is in one region; name it as provider.region",
            image="the image is made of the bento; say packaging: image",
            package__artifact="the zip is made of the bento; leave it out",
            events="only schedules and queues are; for HTTP say url: true, and make other triggers "
            "for the alias 'live' yourself",
        ),
        Capability("gpu list", "refused", _NO_GPU),
        *_rows(
            "ignored",
            cpu="it goes by memorySize",
            bufferInstances="provisionedConcurrency keeps environments",
            idleTimeout="Lambda decides how long an environment stays",
        ),
        Capability("as", "ignored", "it is target local's"),
        Capability(
            ANY_OTHER,
            "native",
            "vpc, tracing, kmsKeyArn, layers, fileSystemConfig, onError and logs",
        ),
    ),
)
