"""The calls around an invocation, as boto3 makes them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from small_functions import Served, SmallFunctions, call, refused, serve

from bentofn.adapters.event_rules import EventRules
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.url import Cors, Url
from bentofn.runtime.errors import UserError


def which(event: Any, _: Any) -> Any:
    return event


@pytest.fixture
def functions() -> SmallFunctions:
    functions = SmallFunctions()
    for memory in (512, 1024, 2048):
        functions.deploy("f", which, memory=memory, timeout=7.0, environment={"A": "b"})
    functions.deploy("g", which, url=Url(Cors(origins=("https://a.example",)), "aws_iam"))
    return functions


async def test_functions_are_described(served: Served) -> None:
    client = served.client("AKIABENTOFN")
    listed = await call(client.list_functions)
    assert [each["FunctionName"] for each in listed["Functions"]] == ["f", "g"]
    found = await call(client.get_function_configuration, FunctionName="f")
    assert (found["Timeout"], found["MemorySize"], found["Version"]) == (7, 2048, "$LATEST")
    assert found["Environment"] == {"Variables": {"A": "b"}}
    assert found["FunctionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:f"
    found = (await call(client.get_function, FunctionName="f", Qualifier="1"))["Configuration"]
    assert (found["MemorySize"], found["Version"]) == (512, "1")
    assert found["FunctionArn"].endswith(":function:f:1")
    found = await call(client.get_function_url_config, FunctionName="g")
    assert (found["AuthType"], found["InvokeMode"]) == ("AWS_IAM", "BUFFERED")
    assert found["Cors"]["AllowOrigins"] == ["https://a.example"]
    error = await refused(client.get_function_url_config, FunctionName="f")
    assert error.response["Error"]["Code"] == "ResourceNotFoundException"


async def test_what_an_environment_holds_is_for_those_who_sign(served: Served) -> None:
    client = served.client()
    found = [
        await call(client.get_function_configuration, FunctionName="f"),
        (await call(client.get_function, FunctionName="f", Qualifier="1"))["Configuration"],
        await call(client.publish_version, FunctionName="f"),
        *(await call(client.list_functions))["Functions"],
        *(await call(client.list_versions_by_function, FunctionName="f"))["Versions"],
    ]
    for each in found:
        assert each["Environment"]["Error"]["ErrorCode"] == "AccessDeniedException"
        assert "Variables" not in each["Environment"]


@pytest.mark.parametrize(
    "odd", [7.5, "text", [1], {"OnSuccess": 7}, {"OnSuccess": [{}]}, [[]], True]
)
async def test_documents_of_odd_shapes_are_refused(served: Served, odd: Any) -> None:
    wrong = [
        ("POST", "2015-03-31/functions/f/aliases", {"Name": odd}),
        ("POST", "2015-03-31/functions/f/aliases", {"Name": "b", "FunctionVersion": odd}),
        (
            "POST",
            "2015-03-31/functions/f/aliases",
            {
                "Name": "b",
                "FunctionVersion": "1",
                "RoutingConfig": {"AdditionalVersionWeights": odd},
            },
        ),
        ("PUT", "2017-10-31/functions/f/concurrency", {"ReservedConcurrentExecutions": odd}),
        ("PUT", "2019-09-25/functions/f/event-invoke-config", {"DestinationConfig": odd}),
        (
            "PUT",
            "2019-09-25/functions/f/event-invoke-config",
            {"DestinationConfig": {"OnFailure": {"Destination": odd}}},
        ),
        ("PUT", "2019-09-25/functions/f/event-invoke-config", odd),
    ]
    await call(served.client().create_alias, FunctionName="f", Name="a", FunctionVersion="1")
    wrong.append(("PUT", "2015-03-31/functions/f/aliases/a", {"RoutingConfig": [odd]}))
    async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
        for method, path, document in wrong:
            answer = await client.request(method, path, json=document)
            assert answer.status_code in (400, 404), (path, document, answer.text)


async def test_every_deployment_is_a_version(served: Served) -> None:
    client = served.client()
    listed = (await call(client.list_versions_by_function, FunctionName="f"))["Versions"]
    assert [each["Version"] for each in listed] == ["$LATEST", "1", "2", "3"]
    assert [each["MemorySize"] for each in listed] == [2048, 512, 1024, 2048]
    published = await call(client.publish_version, FunctionName="f")
    assert published["Version"] == "3"
    error = await refused(client.publish_version, FunctionName="f", CodeSha256="other")
    assert "CodeSHA256 (other) is different" in error.response["Error"]["Message"]


async def test_an_alias_lives(served: Served) -> None:
    client = served.client()
    made = await call(
        client.create_alias, FunctionName="f", Name="live", FunctionVersion="1", Description="d"
    )
    assert made["AliasArn"] == "arn:aws:lambda:us-east-1:000000000000:function:f:live"
    error = await refused(client.create_alias, FunctionName="f", Name="live", FunctionVersion="2")
    assert error.response["Error"]["Code"] == "ResourceConflictException"
    found = await call(client.get_function, FunctionName="f", Qualifier="live")
    assert found["Configuration"]["Version"] == "1"
    answer = await call(client.invoke, FunctionName="f", Qualifier="live")
    assert answer["ExecutedVersion"] == "1"
    assert served.functions.ran[-1][1] == 1
    assert served.functions.ran[-1][2].qualifier == "live"
    changed = await call(client.update_alias, FunctionName="f", Name="live", FunctionVersion="2")
    assert changed["Description"] == "d"
    assert changed["RevisionId"] != made["RevisionId"]
    error = await refused(
        client.update_alias,
        FunctionName="f",
        Name="live",
        FunctionVersion="3",
        RevisionId=made["RevisionId"],
    )
    assert error.response["Error"]["Code"] == "PreconditionFailedException"
    listed = await call(client.list_aliases, FunctionName="f", FunctionVersion="2")
    assert [each["Name"] for each in listed["Aliases"]] == ["live"]
    assert (await call(client.list_aliases, FunctionName="f", FunctionVersion="3"))["Aliases"] == []
    await call(client.delete_alias, FunctionName="f", Name="live")
    error = await refused(client.get_alias, FunctionName="f", Name="live")
    assert "Cannot find alias arn" in error.response["Error"]["Message"]
    error = await refused(client.invoke, FunctionName="f", Qualifier="live")
    assert error.response["Error"]["Message"].endswith("function:f:live")


async def test_weights_share_the_invocations(served: Served) -> None:
    client = served.client()
    await call(
        client.create_alias,
        FunctionName="f",
        Name="canary",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}},
    )
    answers = [await call(client.invoke, FunctionName="f:canary") for _ in range(100)]
    counted = Counter(answer["ExecutedVersion"] for answer in answers)
    assert set(counted) == {"1", "2"}
    assert 10 <= counted["2"] <= 40
    changed = await call(client.update_alias, FunctionName="f", Name="canary", RoutingConfig={})
    assert "RoutingConfig" not in changed


@pytest.mark.parametrize(
    ("version", "weights", "code", "words"),
    [
        ("1", {"2": 0.1, "3": 0.1}, "InvalidParameterValueException", "cannot be greater than 1"),
        ("1", {"2": 2.0}, "ValidationException", "{2=2.0}"),
        ("1", {"2": -1.0}, "ValidationException", "{2=-1.0}"),
        ("1", {"1": 0.5}, "InvalidParameterValueException", "already included"),
        ("$LATEST", {"1": 0.5}, "InvalidParameterValueException", "$LATEST is not supported"),
        ("1", {"$LATEST": 0.5}, "ValidationException", "Map keys"),
        ("9", {}, "ResourceNotFoundException", "function:f:9"),
        ("1", {"9": 0.5}, "ResourceNotFoundException", "function:f:9"),
    ],
)
async def test_routing_that_lambda_refuses_is_refused(
    served: Served, version: str, weights: dict[str, float], code: str, words: str
) -> None:
    error = await refused(
        served.client().create_alias,
        FunctionName="f",
        Name="live",
        FunctionVersion=version,
        RoutingConfig={"AdditionalVersionWeights": weights},
    )
    assert error.response["Error"]["Code"] == code
    assert words in error.response["Error"]["Message"]


async def test_the_rules_for_events_are_kept(served: Served) -> None:
    client = served.client()
    made = await call(
        client.put_function_event_invoke_config, FunctionName="f", MaximumRetryAttempts=1
    )
    assert made["FunctionArn"].endswith("function:f:$LATEST")
    changed = await call(
        client.update_function_event_invoke_config,
        FunctionName="f",
        MaximumEventAgeInSeconds=60,
    )
    assert (changed["MaximumRetryAttempts"], changed["MaximumEventAgeInSeconds"]) == (1, 60)
    listed = await call(client.list_function_event_invoke_configs, FunctionName="f")
    assert len(listed["FunctionEventInvokeConfigs"]) == 1
    await call(client.delete_function_event_invoke_config, FunctionName="f")
    error = await refused(client.get_function_event_invoke_config, FunctionName="f")
    assert "doesn't have an EventInvokeConfig" in error.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "at least one of error handling"),
        ({"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:iam::1:x"}}}, "is invalid"),
        (
            {
                "DestinationConfig": {
                    "OnFailure": {"Destination": "arn:aws:lambda:us-east-1:000000000000:function:f"}
                }
            },
            "destination for itself",
        ),
        (
            {
                "DestinationConfig": {
                    "OnFailure": {"Destination": "arn:aws:lambda:us-east-1:000000000000:function:x"}
                }
            },
            "is invalid",
        ),
    ],
)
async def test_rules_that_lambda_refuses_are_refused(
    served: Served, arguments: dict[str, Any], words: str
) -> None:
    put = served.client().put_function_event_invoke_config
    error = await refused(put, FunctionName="f", **arguments)
    assert error.response["Error"]["Code"] == "InvalidParameterValueException"
    assert words in error.response["Error"]["Message"]


async def test_concurrency_is_reserved_within_the_accounts(served: Served) -> None:
    client = served.client()
    put = client.put_function_concurrency
    await call(put, FunctionName="f", ReservedConcurrentExecutions=900)
    found = await call(client.get_function_concurrency, FunctionName="f")
    assert found["ReservedConcurrentExecutions"] == 900
    error = await refused(put, FunctionName="g", ReservedConcurrentExecutions=1)
    assert "below its minimum value of [100]" in error.response["Error"]["Message"]
    limits = (await call(client.get_account_settings))["AccountLimit"]
    assert limits["UnreservedConcurrentExecutions"] == 100
    await call(client.delete_function_concurrency, FunctionName="f")
    assert "ReservedConcurrentExecutions" not in await call(
        client.get_function_concurrency, FunctionName="f"
    )


async def test_a_deployment_sets_what_it_says_and_leaves_the_rest(served: Served) -> None:
    client = served.client()
    await call(client.put_function_concurrency, FunctionName="f", ReservedConcurrentExecutions=7)
    rules = EventRules(retries=1, on_success="g")
    spec = FunctionSpec("f", "b:1", FunctionSettings(event_rules=rules, profile="lambda"))
    await served.face.deployed(spec)
    found = await call(client.get_function_event_invoke_config, FunctionName="f")
    assert found["MaximumRetryAttempts"] == 1
    assert "MaximumEventAgeInSeconds" not in found
    assert found["DestinationConfig"]["OnSuccess"]["Destination"].endswith(":function:g")
    found = await call(client.get_function_concurrency, FunctionName="f")
    assert found["ReservedConcurrentExecutions"] == 7
    settings = FunctionSettings(reserved_concurrency=0, profile="lambda")
    await served.face.deployed(FunctionSpec("f", "b:1", settings))
    found = await call(client.get_function_concurrency, FunctionName="f")
    assert found["ReservedConcurrentExecutions"] == 0
    settings = FunctionSettings(reserved_concurrency=901, profile="lambda")
    with pytest.raises(UserError, match="below its minimum value"):
        served.face.check(FunctionSpec("f", "b:1", settings))


@pytest.mark.parametrize(
    ("cors", "words"),
    [
        (Cors(methods=("GET", "OPTIONS")), "cors.allowMethods"),
        (Cors(methods=("GET",) * 7), "less than or equal to 6"),
        (Cors(origins=tuple(f"https://{n}.example" for n in range(101))), "cors.allowOrigins"),
        (Cors(max_age=86_401), "'86401' at 'cors.maxAge'"),
    ],
)
async def test_cors_rules_that_lambda_refuses_are_refused(
    served: Served, cors: Cors, words: str
) -> None:
    settings = FunctionSettings(profile="lambda", url=Url(cors))
    with pytest.raises(UserError, match=words):
        served.face.check(FunctionSpec("f", "b:1", settings))
    served.face.check(FunctionSpec("f", "b:1", FunctionSettings(url=Url(cors))))


async def test_what_is_set_survives_the_platform(functions: SmallFunctions, tmp_path: Path) -> None:
    async with serve(functions, tmp_path) as served:
        client = served.client()
        await call(client.create_alias, FunctionName="f", Name="live", FunctionVersion="2")
        await call(
            client.put_function_concurrency, FunctionName="f", ReservedConcurrentExecutions=3
        )
        await call(
            client.put_function_event_invoke_config, FunctionName="f", MaximumRetryAttempts=0
        )
        before = await call(client.get_alias, FunctionName="f", Name="live")
    async with serve(functions, tmp_path) as served:
        client = served.client()
        after = await call(client.get_alias, FunctionName="f", Name="live")
        assert after["RevisionId"] == before["RevisionId"]
        found = await call(client.get_function, FunctionName="f")
        assert found["Concurrency"] == {"ReservedConcurrentExecutions": 3}
        found = await call(client.get_function_event_invoke_config, FunctionName="f")
        assert found["MaximumRetryAttempts"] == 0
        await served.face.forget("f")
    async with serve(functions, tmp_path) as served:
        assert (await call(served.client().list_aliases, FunctionName="f"))["Aliases"] == []
