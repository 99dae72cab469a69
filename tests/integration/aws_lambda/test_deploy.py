"""A function goes to AWS, as its spec says, over the wire that moto's server has."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from aws_cloud import ACCOUNT, REGION, Aws
from moto.backends import get_backend

from bentofn.adapters.aws_lambda.adapter import AwsLambdaAdapter
from bentofn.adapters.aws_lambda.errors import action_of
from bentofn.adapters.aws_lambda.names import FUNCTION_TAG
from bentofn.adapters.aws_words import AwsSettings
from bentofn.adapters.event_rules import EventRules
from bentofn.adapters.load import Load
from bentofn.adapters.protocol import Deployed, FunctionSpec
from bentofn.adapters.queues import Queue
from bentofn.adapters.schedule import Schedule
from bentofn.adapters.secret import Secret
from bentofn.adapters.url import Cors, Url
from bentofn.runtime.errors import UserError

Apply = Callable[..., Deployed]
Spec = Callable[..., FunctionSpec]

ALIAS = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:greeter:live"


def only(values: list[Any]) -> Any:
    [value] = values
    return value


def test_a_function_is_made_with_all_that_it_needs_its_address_last(
    deploy: Apply, aws: Aws
) -> None:
    deployed = deploy()
    assert (deployed.version, deployed.bento, deployed.changed) == (1, "greeter:1", True)
    assert deployed.url.startswith("https://")
    assert [each for each in aws.writes if each != "s3.DeleteObject"] == [
        "iam.CreateRole",
        "iam.PutRolePolicy",
        "logs.CreateLogGroup",
        "s3.CreateBucket",
        *["s3.PutObject", "lambda.PublishLayerVersion"] * 3,
        "s3.PutObject",
        "lambda.CreateFunction",
        "lambda.PublishVersion",
        "lambda.CreateAlias",
        *["lambda.AddPermission"] * 2,
        "lambda.CreateFunctionUrlConfig",
    ]
    actions = {each["Action"]: each for each in aws.of("lambda.AddPermission")}
    assert actions["lambda:InvokeFunctionUrl"]["FunctionUrlAuthType"] == "NONE"
    assert actions["lambda:InvokeFunction"]["InvokedViaFunctionUrl"] is True
    assert {each["Qualifier"] for each in actions.values()} == {"live"}
    assert only(aws.of("lambda.CreateFunctionUrlConfig"))["Qualifier"] == "live"
    created = only(aws.of("lambda.CreateFunction"))
    assert created["Tags"] == {"bentofn:function": "greeter"}
    assert len(created["Layers"]) == 3


def test_the_role_may_do_no_more_than_write_its_logs(deploy: Apply, aws: Aws) -> None:
    deploy()
    document = json.loads(only(aws.of("iam.PutRolePolicy"))["PolicyDocument"])
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/greeter:*"
    assert document["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": [group],
        }
    ]


def test_an_unchanged_bento_is_deployed_without_a_write(deploy: Apply, aws: Aws) -> None:
    deploy()
    aws.calls.clear()
    assert not deploy().changed
    assert aws.writes == []


def test_of_a_change_of_code_only_the_code_is_sent(deploy: Apply, aws: Aws) -> None:
    deploy()
    aws.calls.clear()
    assert deploy("greeter:2").version == 2
    assert aws.writes == [
        "s3.PutObject",
        "lambda.UpdateFunctionCode",
        "lambda.PublishVersion",
        "lambda.UpdateAlias",
        "s3.DeleteObject",
    ]
    assert aws.of("s3.PutObject")[0]["ChecksumSHA256"]


def test_a_plan_says_fields_and_never_values(
    deploy: Apply, adapter: AwsLambdaAdapter, spec: Spec
) -> None:
    deploy(environment={"TOKEN": "first"}, memory=512)
    new = spec("greeter:2", environment={"TOKEN": "second"}, memory=1024)
    plan = adapter.plan(new, load=Load(1.0))
    changes = {each.path: (each.before, each.after) for each in plan.changes}
    assert changes["bento"] == ("greeter:1", "greeter:2")
    assert changes["memorySize"] == (512, 1024)
    assert changes["environment.TOKEN"] == ("set", "changed")
    assert [each.what for each in plan.uploads if not each.present] == ["function"]
    assert plan.cost is not None
    assert plan.cost.per_month > 0


def test_what_moto_drops_is_on_the_wire(deploy: Apply, aws: Aws) -> None:
    others = {
        "logs": {"logFormat": "JSON", "systemLogLevel": "WARN"},
        "tracing": "Active",
        "vpc": {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]},
        "fileSystemConfig": {
            "arn": f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:access-point/fsap-1",
            "localMountPath": "/mnt/data",
        },
    }
    deploy(aws=AwsSettings(others=others, log_retention=14), timeout=30.2, scratch=1024)
    created = only(aws.of("lambda.CreateFunction"))
    assert created["LoggingConfig"] == {
        "LogFormat": "JSON",
        "LogGroup": "/aws/lambda/greeter",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "WARN",
    }
    assert created["SnapStart"] == {"ApplyOn": "None"}
    assert created["TracingConfig"] == {"Mode": "Active"}
    assert created["VpcConfig"] == {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert created["FileSystemConfigs"][0]["LocalMountPath"] == "/mnt/data"
    assert (created["Timeout"], created["EphemeralStorage"]) == (31, {"Size": 1024})
    assert only(aws.of("logs.PutRetentionPolicy"))["retentionInDays"] == 14
    assert not deploy(
        aws=AwsSettings(others=others, log_retention=14), timeout=30.2, scratch=1024
    ).changed


def test_a_url_has_its_cors_and_may_be_closed(deploy: Apply, aws: Aws) -> None:
    cors = Cors(origins=("https://a.example",), methods=("GET", "POST"), max_age=60)
    deploy(url=Url(cors=cors))
    sent = only(aws.of("lambda.CreateFunctionUrlConfig"))
    assert sent["Cors"]["AllowOrigins"] == ["https://a.example"]
    assert sent["Cors"]["MaxAge"] == 60
    aws.calls.clear()
    deploy(url=Url(authorizer="aws_iam"))
    assert only(aws.of("lambda.UpdateFunctionUrlConfig"))["AuthType"] == "AWS_IAM"
    assert len(aws.of("lambda.RemovePermission")) == 2
    aws.calls.clear()
    assert deploy(url=None).url == ""
    assert aws.writes == ["lambda.DeleteFunctionUrlConfig"]


def test_schedules_call_the_alias_by_a_role_of_their_own(deploy: Apply, aws: Aws) -> None:
    schedule = Schedule(
        "daily",
        "cron(0 8 * * ? *)",
        timezone="Europe/Berlin",
        api="greet",
        input='{"name": "you"}',
        retries=3,
        longest_age=600,
        window=15,
    )
    deploy(schedules=(schedule,))
    sent = only(aws.of("scheduler.CreateSchedule"))
    assert sent["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert sent["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    target = sent["Target"]
    assert target["Arn"] == ALIAS
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600}
    assert json.loads(target["Input"]) == {"api": "greet", "body": {"name": "you"}}
    assert target["RoleArn"].endswith("/greeter-eu-central-1-schedules")
    assert not deploy(schedules=(schedule,)).changed
    deploy()
    assert aws.names[-1] == "iam.DeleteRole"
    assert "scheduler.DeleteSchedule" in aws.names


PATIENT = {"VisibilityTimeout": "360"}


def test_a_queue_that_lambda_would_refuse_is_found_before_anything_is_done(
    deploy: Apply, adapter: AwsLambdaAdapter, spec: Spec, aws: Aws
) -> None:
    sqs = aws.chain().create_client("sqs", REGION)
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs"
    asked = {"aws": AwsSettings(queues=(Queue(arn),)), "timeout": 60.0}
    aws.calls.clear()

    def told() -> str:
        return " ".join(each.sentence for each in adapter.plan(spec(**asked)).problems)

    assert "hides a message for 30 s, and the function may take 60 s" in told()
    with pytest.raises(UserError, match="raise its visibility timeout"):
        deploy(**asked)
    assert aws.writes == []
    aws.refusals["sqs.GetQueueUrl"] = [("AccessDenied", 403, "Not yours.")]
    assert adapter.plan(spec(**asked)).ok
    sqs.set_queue_attributes(QueueUrl=url, Attributes=PATIENT)
    deploy()
    client = aws.chain().create_client("lambda", REGION)
    made = client.create_event_source_mapping(EventSourceArn=arn, FunctionName=ALIAS)
    assert "which bentofn did not make" in told()
    client.tag_resource(Resource=made["EventSourceMappingArn"], Tags={FUNCTION_TAG: "greeter"})
    aws.calls.clear()
    deploy(**asked)
    assert only(aws.of("lambda.UpdateEventSourceMapping"))["UUID"] == made["UUID"]


def test_a_mapping_that_is_still_being_deleted_is_waited_for(deploy: Apply, aws: Aws) -> None:
    aws.chain().create_client("sqs", REGION).create_queue(QueueName="jobs", Attributes=PATIENT)
    there = "The event source arn and function provided mapping already exists. Please update or "
    refusal = ("ResourceConflictException", 409, f"{there}delete the existing mapping with UUID 1")
    aws.refusals["lambda.CreateEventSourceMapping"] = [refusal] * 2
    deploy(aws=AwsSettings(queues=(Queue(f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs"),)))
    assert aws.names.count("lambda.CreateEventSourceMapping") == 3


def test_messages_of_a_queue_call_the_alias(deploy: Apply, aws: Aws) -> None:
    sqs = aws.chain().create_client("sqs", REGION)
    for name in ("jobs", "theirs"):
        sqs.create_queue(QueueName=name, Attributes=PATIENT)
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs"
    queue = Queue(arn, batch_size=100, window=5, concurrency=3, patterns=('{"body": ["a"]}',))
    deploy(aws=AwsSettings(queues=(queue,)))
    sent = only(aws.of("lambda.CreateEventSourceMapping"))
    assert (sent["EventSourceArn"], sent["FunctionName"]) == (arn, ALIAS)
    assert sent["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (sent["BatchSize"], sent["MaximumBatchingWindowInSeconds"]) == (100, 5)
    assert sent["ScalingConfig"] == {"MaximumConcurrency": 3}
    assert sent["FilterCriteria"] == {"Filters": [{"Pattern": '{"body": ["a"]}'}]}
    assert aws.writes.index("lambda.CreateEventSourceMapping") < aws.writes.index(
        "lambda.CreateFunctionUrlConfig"
    )
    policy = json.loads(only(aws.of("iam.PutRolePolicy"))["PolicyDocument"])
    received = next(each for each in policy["Statement"] if each["Resource"] == [arn])
    assert "sqs:ReceiveMessage" in received["Action"]
    client = aws.chain().create_client("lambda", REGION)
    client.create_event_source_mapping(
        EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:theirs", FunctionName=ALIAS
    )

    aws.calls.clear()
    assert not deploy(aws=AwsSettings(queues=(queue,))).changed
    assert aws.writes == []
    deploy(aws=AwsSettings(queues=(Queue(arn, enabled=False),)))
    changed = only(aws.of("lambda.UpdateEventSourceMapping"))
    assert {key: changed[key] for key in changed if key != "UUID"} == {
        "Enabled": False,
        "BatchSize": 10,
        "MaximumBatchingWindowInSeconds": 0,
        "ScalingConfig": {},
        "FilterCriteria": {},
    }
    deploy()
    left = client.list_event_source_mappings()["EventSourceMappings"]
    assert [each["EventSourceArn"].rpartition(":")[2] for each in left] == ["theirs"]


def test_events_that_fail_go_where_the_spec_says(deploy: Apply, aws: Aws) -> None:
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:failed"
    rules = EventRules(retries=1, age=3600, on_failure=queue, dead_letters=queue)
    deploy(event_rules=rules, reserved_concurrency=5)
    sent = only(aws.of("lambda.PutFunctionEventInvokeConfig"))
    assert (sent["Qualifier"], sent["MaximumRetryAttempts"]) == ("live", 1)
    assert sent["DestinationConfig"] == {"OnFailure": {"Destination": queue}}
    assert only(aws.of("lambda.CreateFunction"))["DeadLetterConfig"] == {"TargetArn": queue}
    assert only(aws.of("lambda.PutFunctionConcurrency"))["ReservedConcurrentExecutions"] == 5
    policy = json.loads(only(aws.of("iam.PutRolePolicy"))["PolicyDocument"])
    allowed = {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": [queue]}
    assert allowed in policy["Statement"]


def test_secrets_of_aws_are_read_when_it_is_deployed(
    deploy: Apply, aws: Aws, adapter: AwsLambdaAdapter, spec: Spec
) -> None:
    chain = aws.chain()
    chain.create_client("ssm", REGION).put_parameter(
        Name="/app/token", Value="hidden-1", Type="SecureString"
    )
    chain.create_client("secretsmanager", REGION).create_secret(
        Name="app", SecretString='{"key": "hidden-2"}'
    )
    secrets = {"TOKEN": Secret("ssm", "/app/token"), "KEY": Secret("secretsmanager", "app#key")}
    plan = adapter.plan(spec(secrets=secrets))
    assert "hidden" not in repr(plan)
    deploy(secrets=secrets)
    variables = only(aws.of("lambda.CreateFunction"))["Environment"]["Variables"]
    assert (variables["TOKEN"], variables["KEY"]) == ("hidden-1", "hidden-2")


def test_a_role_that_is_not_yet_known_everywhere_is_waited_for(deploy: Apply, aws: Aws) -> None:
    message = "The role defined for the function cannot be assumed by Lambda."
    aws.refusals["lambda.CreateFunction"] = [
        ("InvalidParameterValueException", 400, message) for _ in range(3)
    ]
    assert deploy().changed
    assert len(aws.of("lambda.CreateFunction")) == 4


def test_what_is_denied_is_told_with_the_statement_that_allows_it(deploy: Apply, aws: Aws) -> None:
    aws.refusals["lambda.CreateFunction"] = [("AccessDeniedException", 403, "Not yours.")]
    with pytest.raises(UserError) as told:
        deploy()
    sentence = str(told.value)
    assert "lambda:CreateFunction" in sentence
    assert f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:greeter" in sentence
    assert '"Action": ["lambda:CreateFunction"]' in sentence


def test_what_is_not_allowed_is_found_before_anything_is_done(
    deploy: Apply, adapter: AwsLambdaAdapter, spec: Spec, aws: Aws
) -> None:
    aws.forbidden = ("lambda:PublishVersion", "iam:PassRole")
    problems = [each.sentence for each in adapter.plan(spec()).problems]
    [publish] = [each for each in problems if "lambda:PublishVersion" in each]
    assert f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:greeter" in publish
    [role] = [each for each in problems if "iam:PassRole" in each]
    assert "greeter-eu-central-1-lambdaRole" in role
    with pytest.raises(UserError, match="lambda:PublishVersion"):
        deploy()
    assert aws.writes == []
    aws.forbidden = ("iam:TagRole", "scheduler:CreateSchedule", "s3:GetObject")
    hourly = (Schedule("hourly", "rate(1 hour)"),)
    problems = [each.sentence for each in adapter.plan(spec(schedules=hourly)).problems]
    schedule = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/greeter/hourly"
    for what in ("iam:TagRole", "s3:GetObject", schedule):
        assert any(what in each for each in problems), what
    aws.forbidden = ()
    assert deploy().changed


def test_a_policy_with_conditions_is_not_said_to_deny(
    adapter: AwsLambdaAdapter, spec: Spec, aws: Aws
) -> None:
    aws.forbidden, aws.conditions = ("iam:PassRole",), ("iam:PassedToService",)
    assert adapter.plan(spec()).ok


def test_resources_are_asked_for_as_policies_name_them(
    adapter: AwsLambdaAdapter, spec: Spec, aws: Aws
) -> None:
    aws.forbidden = ()
    queue = Queue(f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs")
    adapter.plan(spec(aws=AwsSettings(queues=(queue,))))
    asked = {
        (action, resource.split(":", 5)[-1])
        for call in aws.of("iam.SimulatePrincipalPolicy")
        for action in call["ActionNames"]
        for resource in call["ResourceArns"]
    }
    assert ("logs:CreateLogGroup", "log-group:/aws/lambda/greeter:*") in asked
    assert ("lambda:CreateEventSourceMapping", "*") in asked
    assert ("lambda:TagResource", "event-source-mapping:*") in asked
    assert ("lambda:TagResource", "*") not in asked


def test_all_that_an_apply_calls_was_asked_of_iam_before(deploy: Apply, aws: Aws) -> None:
    aws.forbidden = ()
    hourly = (Schedule("hourly", "rate(1 hour)"),)
    aws_settings = AwsSettings(provisioned_concurrency=2, log_retention=14)
    for bento, last in (
        ("greeter:1", "lambda.CreateFunctionUrlConfig"),
        ("greeter:2", "lambda.UpdateAlias"),
    ):
        aws.calls.clear()
        deploy(
            bento,
            schedules=hourly,
            aws=aws_settings,
            environment={"BENTO": bento},
            event_rules=EventRules(retries=1),
            reserved_concurrency=5,
        )
        asked = {
            each for call in aws.of("iam.SimulatePrincipalPolicy") for each in call["ActionNames"]
        }
        begun = len(aws.names) - aws.names[::-1].index("iam.SimulatePrincipalPolicy")
        made = aws.names[begun : aws.names.index(last) + 1]
        assert len(made) > 4
        assert {action_of(*name.split(".")) for name in made} <= asked
        assert "lambda:GetLayerVersion" in asked


def test_what_another_deployment_has_just_sent_stays(deploy: Apply, aws: Aws) -> None:
    deploy()
    s3 = aws.chain().create_client("s3", REGION)
    bucket = f"bentofn-{ACCOUNT}-{REGION}"
    for key in ("theirs", "forgotten"):
        s3.put_object(Bucket=bucket, Key=f"bentofn/greeter/{key}", Body=b"1")
    backend = get_backend("s3")[ACCOUNT]["aws"]
    backend.buckets[bucket].keys["bentofn/greeter/forgotten"].last_modified = datetime(2020, 1, 1)
    deploy("greeter:2")
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [each["Key"] for each in listed] == ["bentofn/greeter/theirs"]


def test_a_function_that_somebody_else_made_is_left_alone(deploy: Apply, aws: Aws) -> None:
    deploy()
    client = aws.chain().create_client("lambda", REGION)
    client.untag_resource(Resource=ALIAS.removesuffix(":live"), TagKeys=["bentofn:function"])
    aws.calls.clear()
    with pytest.raises(UserError, match="that bentofn did not make"):
        deploy("greeter:2")
    assert aws.writes == []


def test_old_versions_are_removed_and_their_layers_too(deploy: Apply, aws: Aws) -> None:
    for number in range(13):
        deploy(environment={"NUMBER": str(number)})
    assert len(aws.of("lambda.DeleteFunction")) == 3
    assert "lambda.DeleteLayerVersion" not in aws.names


def test_it_is_found_by_its_name_here_and_by_that_in_aws(
    deploy: Apply, adapter: AwsLambdaAdapter
) -> None:
    deploy(aws=AwsSettings(service="shop", stage="prod"))
    for name in ("greeter", "shop-prod-greeter"):
        [status] = adapter.status(name)
        assert (status.name, status.version, status.apis) == ("greeter", 1, {"greet": "/greet"})
    adapter.destroy("shop-prod-greeter")
    assert adapter.status() == []


def test_what_is_sent_goes_to_a_bucket_of_the_account(deploy: Apply, aws: Aws) -> None:
    deploy()
    assert {each["ExpectedBucketOwner"] for each in aws.of("s3.HeadBucket")} == {ACCOUNT}
    aws.calls.clear()
    aws.chain().create_client("s3", REGION).create_bucket(
        Bucket="theirs", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    deploy(aws=AwsSettings(bucket="theirs"))
    assert "ExpectedBucketOwner" not in aws.of("s3.HeadBucket")[0]


def test_a_secret_that_aws_repeats_is_in_no_error(
    deploy: Apply, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "very-secret")
    echo = "Value '{TOKEN=very-secret}' at 'environment.variables' failed to satisfy constraint"
    aws.refusals["lambda.CreateFunction"] = [("InvalidParameterValueException", 400, echo)]
    with pytest.raises(UserError, match="failed to satisfy") as caught:
        deploy(secrets={"TOKEN": Secret("env", "TOKEN")})
    assert "very-secret" not in "".join(traceback.format_exception(caught.value))


def test_secrets_that_are_too_long_are_found_before_any_write(
    deploy: Apply, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "x" * 4096)
    with pytest.raises(UserError, match="4096 bytes of variables") as caught:
        deploy(secrets={"TOKEN": Secret("env", "TOKEN")})
    assert "xxx" not in str(caught.value)
    assert aws.writes == []


def test_what_failed_may_be_put_into_a_bucket(deploy: Apply, aws: Aws) -> None:
    deploy(event_rules=EventRules(on_failure="arn:aws:s3:::failures"))
    statements = json.loads(only(aws.of("iam.PutRolePolicy"))["PolicyDocument"])["Statement"]
    allowed = {each["Action"][0]: each["Resource"] for each in statements}
    assert allowed["s3:PutObject"] == ["arn:aws:s3:::failures/*"]
    with pytest.raises(UserError, match="only what failed"):
        deploy(event_rules=EventRules(on_success="arn:aws:s3:::failures"))


def test_a_binary_secret_is_no_variable(deploy: Apply, aws: Aws) -> None:
    client = aws.chain().create_client("secretsmanager", REGION)
    client.create_secret(Name="hello", SecretBinary=b"\x00")
    with pytest.raises(UserError, match="hello is binary"):
        deploy(secrets={"KEY": Secret("secretsmanager", "hello")})


def test_of_two_deployments_at_once_no_mixture_goes_live(
    deploy: Apply, adapter: AwsLambdaAdapter, spec: Spec, aws: Aws
) -> None:
    deploy(environment={"WHOSE": "nobody's"})
    client = aws.chain().create_client("lambda", REGION)

    def meanwhile(says: str) -> None:
        if says == "Publishing a version":
            client.update_function_configuration(
                FunctionName="greeter", Environment={"Variables": {"WHOSE": "theirs"}}
            )

    mine = spec("greeter:2", environment={"WHOSE": "mine"})
    with pytest.raises(UserError, match="changed by somebody else meanwhile"):
        adapter.apply(mine, meanwhile)
    assert adapter.status("greeter")[0].version == 1
    assert adapter.apply(mine, lambda _: None).changed
    number = adapter.status("greeter")[0].version
    live = client.get_function_configuration(FunctionName="greeter", Qualifier=str(number))
    assert live["Environment"]["Variables"]["WHOSE"] == "mine"
