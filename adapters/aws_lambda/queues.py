"""The queues of a function, by event source mappings of its alias.

Those that others made of the alias stay as they are: a mapping of bentofn's has the function's tag.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from bentofn.adapters.aws_lambda.live import LiveQueue
from bentofn.adapters.aws_lambda.names import FUNCTION_TAG, Names
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.queues import ONLY_FAILED, Queue

_OFF = ("Disabled", "Disabling")


def mapping_of(queue: Queue) -> dict[str, Any]:
    """A queue as UpdateEventSourceMapping takes it."""
    patterns = [{"Pattern": each} for each in queue.patterns]
    return {
        "Enabled": queue.enabled,
        "BatchSize": queue.batch_size,
        "MaximumBatchingWindowInSeconds": queue.window,
        "FunctionResponseTypes": [ONLY_FAILED],
        "FilterCriteria": {"Filters": patterns} if patterns else {},
        "ScalingConfig": {"MaximumConcurrency": queue.concurrency} if queue.concurrency else {},
    }


def of_live(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A queue as ListEventSourceMappings tells it, in the same form."""
    filters = (raw.get("FilterCriteria") or {}).get("Filters") or []
    return {
        "Enabled": raw.get("State") not in _OFF,
        "BatchSize": raw.get("BatchSize"),
        "MaximumBatchingWindowInSeconds": raw.get("MaximumBatchingWindowInSeconds") or 0,
        "FunctionResponseTypes": list(raw.get("FunctionResponseTypes") or ()),
        "FilterCriteria": {"Filters": filters} if filters else {},
        "ScalingConfig": dict(raw.get("ScalingConfig") or {}),
    }


def read_queues(session: Session, names: Names) -> dict[str, LiveQueue]:
    """The queues of a function by their ARNs."""
    about = f"the queues of {names.function}"
    every = session.pages(
        "lambda",
        "ListEventSourceMappings",
        about,
        "EventSourceMappings",
        FunctionName=names.alias_arn,
    )
    of_sqs = [
        each
        for each in every
        if ":sqs:" in each.get("EventSourceArn", "") and each.get("State") != "Deleting"
    ]
    tags = session.together([partial(_tags, session, each) for each in of_sqs])
    return {
        each["EventSourceArn"]: LiveQueue(each["UUID"], of_live(each))
        for each, tagged in zip(of_sqs, tags, strict=True)
        if tagged.get(FUNCTION_TAG) == names.name
    }


def _tags(session: Session, raw: Mapping[str, Any]) -> Mapping[str, str]:
    arn = raw["EventSourceMappingArn"]
    found: Mapping[str, str] = (session.find("lambda", "ListTags", arn, Resource=arn) or {}).get(
        "Tags", {}
    )
    return found
