"""Queues among a function's events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bentofn.adapters.aws_lambda.queues import mapping_of
from bentofn.adapters.fields import stated
from bentofn.adapters.protocol import FunctionSpec
from bentofn.adapters.queues import Queue
from bentofn.adapters.settings import FunctionSettings
from bentofn.adapters.spec import read_spec
from bentofn.runtime.errors import UserError

ARN = "arn:aws:sqs:eu-central-1:123456789012:jobs"


def settings(folder: Path, event: str, target: str = "aws-lambda") -> FunctionSettings:
    text = f"service: s\nprovider: aws\nfunctions: {{a: {{events: [{{sqs: {event}}}]}}}}"
    (folder / "serverless.yml").write_text(text)
    return read_spec(folder / "serverless.yml", {"QUEUE": ARN}, target).functions["a"].settings


def test_a_queue_is_its_arn_or_says_more(tmp_path: Path) -> None:
    assert settings(tmp_path, ARN).aws.queues == (Queue(ARN),)
    found = settings(
        tmp_path,
        "{arn: '${env:QUEUE}', batchSize: 100, maximumBatchingWindow: 5, enabled: false, "
        "maximumConcurrency: 2, functionResponseType: ReportBatchItemFailures, "
        "filterPatterns: [{body: {kind: [a]}}]}",
    )
    queue = Queue(ARN, 100, 5, False, 2, ('{"body": {"kind": ["a"]}}',))
    assert found.aws.queues == (queue,)
    assert [*stated(found)] == ["url", "events.sqs"]
    spec = FunctionSpec("a", "a:1", found)
    assert FunctionSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_lambda_is_told_no_window_of_a_fifo_queue() -> None:
    assert mapping_of(Queue(ARN))["MaximumBatchingWindowInSeconds"] == 0
    assert "MaximumBatchingWindowInSeconds" not in mapping_of(Queue(f"{ARN}.fifo"))


def test_what_another_target_does_not_read_is_no_mistake_there(tmp_path: Path) -> None:
    assert settings(tmp_path, "{arn: {'Fn::GetAtt': [Q, Arn]}}", "local").aws.queues == ()


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ("{arn: {'Fn::GetAtt': [Q, Arn]}}", "must be the ARN of an SQS queue"),
        ("arn:aws:sns:eu-central-1:123456789012:jobs", "must be the ARN of an SQS queue"),
        (f"{{arn: {ARN}, batchSize: 11}}", "takes a maximumBatchingWindow"),
        (f"{{arn: {ARN}, batchSize: 10001}}", "10000 at most"),
        (f"{{arn: {ARN}.fifo, batchSize: 11, maximumBatchingWindow: 0}}", "FIFO queue"),
        (f"{{arn: {ARN}.fifo, maximumBatchingWindow: 1}}", "a FIFO queue has none"),
        (f"{{arn: {ARN}, maximumConcurrency: 1}}", "2 or more"),
        (f"{{arn: {ARN}, functionResponseType: All}}", "one of ReportBatchItemFailures"),
        (f"{{arn: {ARN}, batchsize: 1}}", "did you mean 'batchSize'"),
        (f"{{arn: {ARN}, filterPatterns: [{{body: ['${{AWS::Region}}']}}]}}", "CloudFormation's"),
        (f"{ARN}}}, {{sqs: {ARN}", "named twice"),
    ],
)
def test_a_mistake_says_where(tmp_path: Path, event: str, told: str) -> None:
    with pytest.raises(UserError, match=r"functions\.a\.events\.\d\.sqs") as caught:
        settings(tmp_path, event)
    assert told in str(caught.value)
