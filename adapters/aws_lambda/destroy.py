"""Removes all that there is of a function; what belongs to it is found by its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from bentofn.adapters.aws_lambda.leftovers import (
    without_layer,
    without_objects,
    without_role,
)
from bentofn.adapters.aws_lambda.live import Live
from bentofn.adapters.aws_lambda.names import ALIAS, BUCKET_TAG, Names
from bentofn.adapters.aws_lambda.queue_steps import without_queue
from bentofn.adapters.aws_lambda.reading import read_live, read_log_tags
from bentofn.adapters.aws_lambda.run_steps import Runner
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.aws_lambda.step import Step


def destroy(session: Session, names: Names) -> None:
    """Remove a function.

    Args:
        session: The account.
        names: What its parts are called.

    Raises:
        UserError: AWS refused, or was not reached; the next attempt goes on.
    """
    live = read_live(session, names)
    # What was sent may be in a bucket that the user named, also before there is a function.
    tags = live.tags if live.latest is not None else read_log_tags(session, names)
    bucket = tags.get(BUCKET_TAG)
    if bucket:
        names = dataclasses.replace(names, given_bucket=bucket)
        live = read_live(session, names)
    Runner(session, names, lambda _: None).run(_steps(names, live))
    if live.bucket and not names.given_bucket:
        _remove_bucket(session, names)
    # The role of the function goes last: by it, what is left is found again.
    for role, there in ((names.schedule_role, live.schedule_role), (names.role, live.role)):
        if there is not None:
            Runner(session, names, lambda _: None).run(without_role(names, role, there))


def _steps(names: Names, live: Live) -> Iterator[Step]:
    which = {"FunctionName": names.function, "Qualifier": ALIAS}
    if live.group:
        named = {"Name": names.schedule_group}
        yield Step("scheduler", "DeleteScheduleGroup", names.schedule_group_arn, named)
    for arn, there in live.queues.items():
        yield without_queue(names, arn, there.mapping)
    if live.url is not None:
        yield Step("lambda", "DeleteFunctionUrlConfig", names.alias_arn, which)
    if live.provisioned is not None:
        yield Step("lambda", "DeleteProvisionedConcurrencyConfig", names.alias_arn, which)
    if live.event_rules is not None:
        yield Step("lambda", "DeleteFunctionEventInvokeConfig", names.alias_arn, which)
    if live.latest is not None:
        named = {"FunctionName": names.function}
        yield Step("lambda", "DeleteFunction", names.arn, named)
    for layer, versions in live.layers.items():
        for arn in versions.values():
            yield without_layer(layer, arn)
    yield from without_objects(names, live.objects)
    if live.images is not None:
        named = {"repositoryName": names.repository}
        yield Step("ecr", "DeleteRepository", names.repository_arn, {**named, "force": True})
    if live.log_group is not None:
        named = {"logGroupName": names.log_group}
        yield Step("logs", "DeleteLogGroup", names.log_group_arn, named)


def _remove_bucket(session: Session, names: Names) -> None:
    """Where no other function of bentofn's has something in it."""
    about, bucket = names.bucket_arn, names.bucket
    listed = session.find("s3", "ListObjectsV2", about, Bucket=bucket, MaxKeys=1)
    if listed is not None and not listed.get("Contents"):
        session.find("s3", "DeleteBucket", about, Bucket=bucket)
