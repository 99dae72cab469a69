"""A function goes to AWS, as its spec says, over the wire that moto's server has."""

from __future__ import annotations

import json

from aws_cloud import Aws
from conftest import Apply, Spec  # type: ignore[import-not-found]

from bentofn.adapters.aws_lambda.adapter import AwsLambdaAdapter


def test_a_function_is_made_with_all_that_it_needs(deploy: Apply, aws: Aws) -> None:
    deployed = deploy()
    assert (deployed.version, deployed.bento, deployed.changed) == (1, "greeter:1", True)
    assert deployed.url.startswith("https://")
    print(aws.names)
    assert aws.writes[0] == "iam.CreateRole"
    assert aws.writes[-4:] == []
