"""The steps for the queues whose messages call the function."""

from __future__ import annotations

from collections.abc import Iterator

from bentofn.adapters.aws_lambda.configuration import differing
from bentofn.adapters.aws_lambda.desired import Desired
from bentofn.adapters.aws_lambda.live import Live
from bentofn.adapters.aws_lambda.names import Names
from bentofn.adapters.aws_lambda.step import Step
from bentofn.adapters.plan import Change


def queue_steps(wanted: Desired, live: Live) -> Iterator[Step]:
    """Queues that are new or changed."""
    for arn, mapping in wanted.queues.items():
        path = f"queue {arn.rpartition(':')[2]}"
        there = live.queues.get(arn)
        if there is None:
            yield Step(
                "lambda",
                "CreateEventSourceMapping",
                f"the queue {arn}",  # of no resource, as IAM sees it
                {
                    "EventSourceArn": arn,
                    "FunctionName": wanted.names.alias_arn,
                    **{key: value for key, value in mapping.items() if value != {}},
                    "Tags": dict(wanted.tags),
                },
                f"Taking the messages of {arn}",
                (Change(path, None, "its messages are taken"),),
            )
            continue
        changed = differing(mapping, there.settings)
        if changed:
            before = {key: there.settings[key] for key in changed}
            yield Step(
                "lambda",
                "UpdateEventSourceMapping",
                wanted.names.mapping_arn(there.mapping),
                {"UUID": there.mapping, **changed},
                "",
                (Change(path, before, changed),),
            )


def without_queue(names: Names, arn: str, mapping: str) -> Step:
    """What has a queue's messages call the function no more.

    Args:
        names: The function's.
        arn: The queue.
        mapping: Its mapping.
    """
    change = (Change(f"queue {arn.rpartition(':')[2]}", "its messages are taken", None),)
    about = names.mapping_arn(mapping)
    return Step("lambda", "DeleteEventSourceMapping", about, {"UUID": mapping}, "", change)
