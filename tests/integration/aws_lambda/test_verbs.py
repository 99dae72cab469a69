"""What is done with a function that is deployed: it is called, its lines are read."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from aws_cloud import ACCOUNT, REGION, SLOW, Aws

from bentofn.adapters.aws_lambda.adapter import AwsLambdaAdapter
from bentofn.adapters.aws_words import AwsSettings
from bentofn.adapters.protocol import Deployed, FunctionSpec
from bentofn.runtime.errors import UserError

Apply = Callable[..., Deployed]
Spec = Callable[..., FunctionSpec]

FIRST, SECOND = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def test_a_call_goes_to_the_alias(deploy: Apply, adapter: AwsLambdaAdapter, aws: Aws) -> None:
    deploy()
    aws.reply = (b'"Hello, you!"', "")
    reply = adapter.invoke("greeter", b'{"name": "you"}', api="greet")
    assert (reply.status, b"".join(reply.body)) == (200, b"Hello, you!")  # as over HTTP
    assert reply.headers["content-type"].startswith("text/plain")
    [sent] = aws.of("lambda.Invoke")
    assert (sent["FunctionName"], sent["Qualifier"]) == ("greeter", "live")
    assert json.loads(sent["Payload"]) == {"api": "greet", "body": {"name": "you"}}


def test_a_function_that_fails_answers_500_and_says_why(
    deploy: Apply, adapter: AwsLambdaAdapter, aws: Aws
) -> None:
    deploy()
    error = {"errorMessage": "name: too long", "errorType": "EndpointFailed"}
    aws.reply = (json.dumps(error).encode(), "Unhandled")
    reply = adapter.invoke("greeter", b"{}")
    assert reply.status == 500
    assert json.loads(b"".join(reply.body))["error"] == "name: too long"


def test_what_lambda_would_not_take_is_not_sent(deploy: Apply, adapter: AwsLambdaAdapter) -> None:
    deploy()
    with pytest.raises(UserError, match=r"Lambda takes 6\.3"):
        adapter.invoke("greeter", b'"' + b"x" * (7 << 20) + b'"')


@pytest.mark.parametrize("name", ["greeter", "shop-prod-greeter"])
def test_what_was_begun_with_a_role_and_a_bucket_of_the_users_is_found(
    name: str, adapter: AwsLambdaAdapter, spec: Spec, aws: Aws
) -> None:
    """Before there is a function, and when all but the rest of it is gone."""
    role = f"arn:aws:iam::{ACCOUNT}:role/mine"
    s3 = aws.chain().create_client("s3", REGION)
    s3.create_bucket(Bucket="mine", CreateBucketConfiguration={"LocationConstraint": REGION})
    settings = AwsSettings(role=role, bucket="mine", service="shop", stage="prod")
    aws.refusals["lambda.CreateFunction"] = [("InvalidParameterValueException", 400, "No.")]
    with pytest.raises(UserError, match="No"):
        adapter.apply(spec(aws=settings), lambda _: None)
    assert s3.list_objects_v2(Bucket="mine")["KeyCount"]
    adapter.destroy(name)
    assert not s3.list_objects_v2(Bucket="mine")["KeyCount"]
    assert not aws.chain().create_client("lambda", REGION).list_layers()["Layers"]
    assert not aws.chain().create_client("logs", REGION).describe_log_groups()["logGroups"]
    with pytest.raises(UserError, match="There is no function"):
        adapter.destroy(name)


def test_a_version_that_is_not_ready_gets_no_requests(
    deploy: Apply, adapter: AwsLambdaAdapter, aws: Aws
) -> None:
    """One that another deployment is still making, as when that one was interrupted."""
    deploy()
    deploy("greeter:2")
    aws.calls.clear()
    aws.pending = 2
    adapter.rollback("greeter", 1, lambda _: None)
    assert aws.names.index("lambda.UpdateAlias") > 2
    assert aws.pending == 0
    aws.failed = "Its snapshot failed."
    with pytest.raises(UserError, match="Its snapshot failed"):
        adapter.promote("greeter", 2, 1.0, lambda _: None)


def test_a_version_that_lambda_put_aside_is_made_ready_before_it_gets_requests(
    deploy: Apply, adapter: AwsLambdaAdapter, aws: Aws
) -> None:
    deploy()
    deploy("greeter:2")
    aws.calls.clear()
    aws.inactive = True
    assert adapter.rollback("greeter", 1, lambda _: None).changed
    [sent] = aws.of("lambda.Invoke")
    assert sent["Qualifier"] == "1"
    assert (aws.inactive, aws.pending) == (False, 0)
    assert aws.names.index("lambda.UpdateAlias") > aws.names.index("lambda.Invoke") + 2


def test_a_role_of_somebody_elses_below_our_path_is_no_function(
    deploy: Apply, adapter: AwsLambdaAdapter, aws: Aws
) -> None:
    client = aws.chain().create_client("iam", REGION)
    for number, path in enumerate(("", "a/", "a/b/c/")):
        client.create_role(
            Path=f"/bentofn/{REGION}/{path}",
            RoleName=f"theirs-{number}",
            AssumeRolePolicyDocument="{}",
        )
    deploy()
    assert [each.name for each in adapter.status()] == ["greeter"]
    adapter.destroy("greeter")
    assert len(client.list_roles()["Roles"]) == 3


def log(aws: Aws, *lines: tuple[int, str]) -> None:
    """Write lines at milliseconds since the epoch."""
    client = aws.chain().create_client("logs", REGION)
    where: dict[str, Any] = {"logGroupName": "/aws/lambda/greeter", "logStreamName": "a[1]b"}
    client.create_log_stream(**where)
    client.put_log_events(**where, logEvents=[{"timestamp": t, "message": m} for t, m in lines])


def test_lines_belong_to_the_request_that_wrote_them(
    deploy: Apply, adapter: AwsLambdaAdapter, aws: Aws
) -> None:
    deploy()
    now = int(time.time() * 1000) - 60_000
    log(
        aws,
        (now, f"START RequestId: {FIRST} Version: 1"),
        (now + 1, "printed"),
        (now + 2, f"[INFO]\t2026-01-01T00:00:00.000Z\t{FIRST}\tlogged"),
        (now + 3, f"END RequestId: {FIRST}"),
        (now + 4, f"REPORT RequestId: {FIRST}\tDuration: 3 ms"),
        (now + 5, f"START RequestId: {SECOND} Version: 1"),
        (now + 6, "printed again"),
    )
    lines = list(adapter.logs("greeter"))
    assert [line.stream for line in lines].count("platform") == 4
    assert [line.line for line in adapter.logs("greeter", request=SECOND)][-1] == "printed again"
    assert {line.request for line in lines} == {FIRST, SECOND}
    assert [line.line for line in adapter.logs("greeter", tail=1)] == ["printed again"]
    later = list(adapter.logs("greeter", since=(now + 4.5) / 1000))
    assert [line.ts for line in later] == [(now + 5) / 1000, (now + 6) / 1000]


def test_following_gives_each_line_once(deploy: Apply, adapter: AwsLambdaAdapter, aws: Aws) -> None:
    deploy()
    now = int(time.time() * 1000) - 1000
    log(aws, (now, "first"))
    lines = adapter.logs("greeter", follow=True)
    assert next(lines).line == "first"
    client = aws.chain().create_client("logs", REGION)
    client.put_log_events(
        logGroupName="/aws/lambda/greeter",
        logStreamName="a[1]b",
        logEvents=[{"timestamp": now + 1, "message": "second"}],
    )
    assert next(lines).line == "second"


def test_a_function_with_a_role_of_the_users_is_found(
    deploy: Apply, adapter: AwsLambdaAdapter, aws: Aws
) -> None:
    client = aws.chain().create_client("iam", REGION)
    role = client.create_role(RoleName="mine", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    aws.calls.clear()
    deploy(aws=AwsSettings(role=role))
    assert "iam.CreateRole" not in aws.names
    assert aws.of("lambda.CreateFunction")[0]["Role"] == role
    assert [each.name for each in adapter.status()] == ["greeter"]
    adapter.destroy("greeter")
    assert adapter.status() == []
    assert role.endswith(f"{ACCOUNT}:role/mine")


@pytest.mark.slow
def test_an_answer_that_comes_too_late_is_in_nobodys_way(
    adapter: AwsLambdaAdapter, spec: Spec, aws: Aws
) -> None:
    """AWS did it, and botocore's second attempt meets what the first one made."""
    adapter.apply(spec(), lambda _: None)
    writes = [number for number, call in enumerate(aws.calls) if call.is_write]
    adapter.destroy("greeter")
    for call in writes:
        with aws.failing(call, SLOW) as failing, contextlib.suppress(UserError):
            adapter.apply(spec(), lambda _: None)
        assert failing.call
        adapter.apply(spec(), lambda _: None)
        assert adapter.status("greeter")[0].version == 1, failing.call
        adapter.destroy("greeter")
        assert adapter.status() == [], failing.call
