"""What target folder does with each field of the spec."""

from __future__ import annotations

from bentofn.adapters.capabilities import ANY_OTHER, Capabilities, Capability

_NATIVE = {
    "timeout": "the process is ended",
    "environment": "",
    "concurrency": "a process has one request",
    "versions": "the last ten",
    "promote": "each call picks a version by its share",
    "logs": "",
    "onCold hold": "every start is a cold one, and the request waits",
    "snapshot none": "every start is a plain one",
}
_IGNORED = {
    "memorySize": "a process takes what it needs",
    "ephemeralStorageSize": "processes share the machine's /tmp",
    "cpu": "a process takes what it needs",
    "architecture": "it is the machine's",
    "runtime": "it is bentofn's Python",
    "url": "functions are called with bentofn invoke",
    "url.cors": "there is no URL",
    "idleTimeout": "a process ends with its request",
    "maxInstances": "there are as many processes as requests",
    "bufferInstances": "nothing is kept running",
    "reservedConcurrency": "there are as many processes as requests",
    "provisionedConcurrency": "nothing is kept running",
    "batching": "a process has one request",
    "regions": "the folder is where it is",
    "description": "it is not kept",
    "tags": "they are not kept",
    "name": "the function is called as its section is",
    "as": "that is for target local",
    "gpuSnapshot": "every start is a plain one",
    "snapStart": "every start is a plain one",
    "maximumRetryAttempts": "there are no events",
    "maximumEventAge": "there are no events",
    "destinations": "there are no events",
    "image": "the bento itself is run",
    "packaging": "the bento itself is run",
    "package.artifact": "the bento itself is run",
    "role": "there is nothing that a role would open",
    "provider.iam.role": "there is nothing that a role would open",
    "provider.region": "the folder is where it is",
    "provider.deploymentBucket": "the folder holds everything",
    "logRetentionInDays": "logs are kept with the function",
    ANY_OTHER: "AWS's own",
}
_NO_SECRETS = "a folder is no place for secrets"
_REFUSED = {
    "url.authorizer": "there is no URL; leave it out",
    "url.invokeMode RESPONSE_STREAM": "there is no URL; leave it out",
    "events": "nothing calls functions here; leave events out",
    "events.sqs": "nothing calls functions here; leave events out",
    "events.schedule": "nothing calls functions by the clock here; use cron and bentofn invoke",
    "schedules": "nothing calls functions by the clock here; use cron and bentofn invoke",
    "minInstances": "nothing is kept running; leave it out",
    "gpu": "processes are given none; say targets.folder.gpu: null",
    "gpu list": "processes are given none; say targets.folder.gpu: null",
    "onCold queue": "requests are answered at once",
    "onCold error": "requests wait for their process",
    "snapshot criu": "every start is a plain one; say auto",
    "snapshot template": "every start is a plain one; say auto",
    "secrets env": _NO_SECRETS,
    "secrets file": _NO_SECRETS,
    "secrets ssm": _NO_SECRETS,
    "secrets secretsmanager": _NO_SECRETS,
    "secrets modal": _NO_SECRETS,
}

CAPABILITIES = Capabilities(
    "folder",
    (
        *(Capability(field, "native", how) for field, how in _NATIVE.items()),
        *(Capability(field, "ignored", how) for field, how in _IGNORED.items()),
        *(Capability(field, "refused", how) for field, how in _REFUSED.items()),
    ),
)
