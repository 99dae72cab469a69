"""The queues of a function, by event source mappings of its alias.

Those that others made of the alias stay as they are: a mapping of bentofn's has the function's tag.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from bentofn.adapters.aws_lambda.live import Live, LiveQueue
from bentofn.adapters.aws_lambda.names import ALIAS, FUNCTION_TAG, Names
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.plan import Problem
from bentofn.adapters.queues import ONLY_FAILED, Queue
from bentofn.runtime.errors import UserError

_OFF = ("Disabled", "Disabling")


def mapping_of(queue: Queue) -> dict[str, Any]:
    """A queue as UpdateEventSourceMapping takes it."""
    patterns = [{"Pattern": each} for each in queue.patterns]
    window = {} if queue.is_fifo else {"MaximumBatchingWindowInSeconds": queue.window}
    return {
        "Enabled": queue.enabled,
        "BatchSize": queue.batch_size,
        **window,
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


def read_queues(session: Session, names: Names) -> dict[str, Any]:
    """The queues of a function, as members of :class:`bentofn.adapters.aws_lambda.live.Live`."""
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
    found: dict[str, dict[str, LiveQueue]] = {"queues": {}, "others_queues": {}}
    for each, tagged in zip(of_sqs, tags, strict=True):
        whose = "queues" if tagged.get(FUNCTION_TAG) == names.name else "others_queues"
        found[whose][each["EventSourceArn"]] = LiveQueue(each["UUID"], of_live(each))
    return found


def problems_of_queues(
    session: Session, names: Names, queues: Sequence[Queue], timeout: int, live: Live
) -> Iterator[Problem]:
    """What of queues Lambda would refuse when all else is done.

    Args:
        session: The account.
        names: What the function's parts are called.
        queues: The queues that are to call the function.
        timeout: Seconds that it may take for a batch.
        live: The function as it is.
    """
    for queue, seen in zip(
        queues,
        session.together([partial(_hides_for, session, each) for each in queues]),
        strict=True,
    ):
        if seen is not None and seen < timeout:
            yield Problem(
                "violation",
                "events.sqs",
                f"Queue {queue.arn} hides a message for {seen} s, and the function may take "
                f"{timeout} s for it, so that Lambda refuses the queue; raise its visibility "
                "timeout (AWS advises six times the function's), or lower timeout.",
            )
        if queue.arn in live.others_queues:
            mapping = names.mapping_arn(live.others_queues[queue.arn].mapping)
            yield Problem(
                "violation",
                "events.sqs",
                f"Queue {queue.arn} calls the alias {ALIAS} already, by the mapping {mapping}, "
                f"which bentofn did not make; delete that, or have it taken over by the tag "
                f"{FUNCTION_TAG}={names.name} (aws lambda tag-resource).",
            )


def _hides_for(session: Session, queue: Queue) -> int | None:
    """Seconds for which a queue shows a message to nobody else; None where that is not told."""
    account, name = queue.arn.split(":")[4:]
    try:
        at = session.ask(
            "sqs", "GetQueueUrl", queue.arn, QueueName=name, QueueOwnerAWSAccountId=account
        )
        found = session.ask(
            "sqs",
            "GetQueueAttributes",
            queue.arn,
            QueueUrl=at["QueueUrl"],
            AttributeNames=["VisibilityTimeout"],
        )
    except UserError:
        return None  # Lambda says it then
    return int(found["Attributes"]["VisibilityTimeout"])


def _tags(session: Session, raw: Mapping[str, Any]) -> Mapping[str, str]:
    arn = raw["EventSourceMappingArn"]
    found: Mapping[str, str] = (session.find("lambda", "ListTags", arn, Resource=arn) or {}).get(
        "Tags", {}
    )
    return found
