"""What is there is read by many calls at once, and is the same as by one after the other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from aws_cloud import Aws

from bentofn.adapters.aws_lambda.find import names_of
from bentofn.adapters.aws_lambda.live import Live
from bentofn.adapters.aws_lambda.reading import read_live
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.protocol import Deployed, FunctionSpec
from bentofn.adapters.schedule import Schedule
from bentofn.runtime.errors import UserError

Apply = Callable[..., Deployed]
Spec = Callable[..., FunctionSpec]
Read = Callable[..., Live]


@pytest.fixture
def read(aws: Aws, deploy: Apply, spec: Spec) -> Read:
    """Reads a function that has all kinds of parts."""
    schedules = tuple(Schedule(name, "rate(1 hour)") for name in ("first", "second"))
    deploy(schedules=schedules)
    deploy("greeter:2", schedules=schedules)

    def read(*, is_parallel: bool) -> Live:
        session = Session(aws.chain(), None, lambda _: None, is_parallel=is_parallel)
        return read_live(session, names_of(session, spec()))

    return read


def test_it_is_the_same_at_once_and_one_after_the_other(read: Read) -> None:
    assert read(is_parallel=True) == read(is_parallel=False)


def test_each_read_that_is_denied_is_told_as_it_is_one_after_the_other(
    read: Read, aws: Aws
) -> None:
    aws.calls.clear()
    read(is_parallel=False)
    for name in sorted(set(aws.names)):
        told = []
        for is_parallel in (False, True):
            aws.refusals[name] = [("AccessDeniedException", 403, "Not yours.")] * 4
            with pytest.raises(UserError) as caught:
                read(is_parallel=is_parallel)
            told.append(str(caught.value))
            aws.refusals.clear()
        assert told[0] == told[1]
        assert name.partition(".")[2] in told[0]


def test_a_read_that_is_throttled_is_made_again(read: Read, aws: Aws) -> None:
    expected = read(is_parallel=True)
    aws.calls.clear()
    read(is_parallel=True)
    for call in range(len(aws.names)):
        with aws.failing(call, "throttled") as failing:
            assert read(is_parallel=True) == expected
        assert failing.call


def test_no_more_is_read_at_once_than_there_are_connections(
    aws: Aws, deploy: Apply, spec: Spec, caplog: pytest.LogCaptureFixture
) -> None:
    deploy(schedules=tuple(Schedule(f"s-{n}", "rate(1 hour)") for n in range(24)))
    session = Session(aws.chain(), None, lambda _: None)
    assert len(read_live(session, names_of(session, spec())).schedules) == 24
    assert "pool is full" not in caplog.text


INTERRUPTED = """
import os, signal, threading
from bentofn.adapters.aws_lambda.session import Session

def unanswered():
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait()

try:
    Session().together([unanswered, unanswered])
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_read_without_an_answer_keeps_no_command_that_is_interrupted() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        env={**os.environ, "AWS_DEFAULT_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "interrupted\n", done.stderr
