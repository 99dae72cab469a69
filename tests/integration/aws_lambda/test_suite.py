"""The suite of adapters holds target aws-lambda to the protocol, every call of an apply failing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from aws_cloud import ACCOUNT, REGION, Aws
from moto.awslambda.exceptions import UnknownAliasException, UnknownFunctionException
from moto.backends import get_backend
from thoroughness import every_way

from bentofn.adapters.aws_lambda.adapter import AwsLambdaAdapter
from bentofn.adapters.aws_words import AwsSettings
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.queues import Queue
from bentofn.adapters.schedule import Schedule
from bentofn.packager.home import Home
from bentofn.testing.adapter_suite import AdapterSuite, Failing, Failure, World


class AwsWorld(World):
    """An account of moto's.

    Args:
        home: A home with ``greeter:1`` and ``greeter:2``.
        aws: The account.
        failures: Which are arranged.
    """

    answers = False

    def __init__(self, home: Home, aws: Aws, failures: tuple[Failure, ...]) -> None:
        self.home = home
        self.failures = failures
        self.stride = 1 if every_way() else max(1, len(failures))
        self._aws = aws
        self._chain = aws.chain()
        sqs = self._chain.create_client("sqs", REGION)
        sqs.create_queue(QueueName="jobs", Attributes={"VisibilityTimeout": "60"})

    def adapter(self) -> AwsLambdaAdapter:
        """See :class:`World`."""
        # One after the other, so that the calls have an order by which each of them fails once.
        return AwsLambdaAdapter(self.home, self._chain, lambda _: None, is_parallel=False)

    def spec(self, revision: int) -> FunctionSpec:
        """A revision with a bento, a variable, a schedule and a queue of its own."""
        queue = Queue(f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs", batch_size=1 + revision % 10)
        return FunctionSpec(
            "greeter",
            f"greeter:{2 - revision % 2}",
            FunctionSettings(
                environment={"REVISION": str(revision)},
                schedules=(Schedule("hourly", f"rate({revision + 1} hours)"),),
                aws=AwsSettings(queues=(queue,)),
            ),
        )

    def live(self) -> int | None:
        """What the address leads to."""
        functions = _backend("lambda")
        try:
            alias = functions.get_alias("live", "greeter")
        except (UnknownAliasException, UnknownFunctionException):
            return None
        if functions.get_function("greeter").url_config is None:
            return None
        version = functions.get_function("greeter", alias.function_version)
        return int(version.environment_vars["REVISION"])

    def resources(self) -> Mapping[str, object]:
        """See :class:`World`."""
        return dict(_resources())

    def writes(self) -> int:
        """See :class:`World`."""
        return len(self._aws.writes)

    @contextmanager
    def failing(self, call: int, failure: Failure) -> Iterator[Failing]:
        """See :class:`World`."""
        with self._aws.failing(call, failure) as failing:
            yield failing


def _backend(service: str, region: str = REGION) -> Any:
    return get_backend(service)[ACCOUNT][region]


def _resources() -> Iterator[tuple[str, object]]:
    functions = _backend("lambda")
    for function in functions.list_functions():
        yield f"function {function.function_arn}", function.get_configuration()
    for layer in functions.list_layers():
        yield f"layer {layer['LayerName']}", layer
    for mapping in functions.list_event_source_mappings("", ""):
        yield f"queue {mapping.event_source_arn}", (mapping.batch_size, mapping.enabled)
    for role in _backend("iam", "aws").roles.values():
        yield f"role {role.name}", (dict(role.policies), sorted(role.managed_policies))
    for name in _backend("logs").groups:
        yield f"log group {name}", name
    for name, group in _backend("scheduler").schedule_groups.items():
        if name != "default":
            every = {each: vars(schedule) for each, schedule in group.schedules.items()}
            yield f"schedules {name}", repr(every)
    for name, bucket in _backend("s3", "aws").buckets.items():
        yield f"bucket {name}", sorted(bucket.keys)


class TestQuick(AdapterSuite):
    """Without failures."""

    @pytest.fixture
    def world(self, lambda_home: Home, aws: Aws) -> AwsWorld:
        return AwsWorld(lambda_home, aws, ())


@pytest.mark.slow
class TestEveryFailure(AdapterSuite):
    """Each of an apply's and a destroy's calls is denied, throttled, cut off, or lost, and with
    ``BENTOFN_TEST_FAULTS=all`` all of that, which takes eight minutes."""

    @pytest.fixture
    def world(self, lambda_home: Home, aws: Aws) -> AwsWorld:
        return AwsWorld(lambda_home, aws, ("denied", "throttled", "cut", "lost"))
