"""Every function that Lambda takes has names that the other services take, and none shares them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.aws_lambda.names import Names

ECR = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*")
"""https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html"""

functions = st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z")


def names(function: str) -> Names:
    return Names("greeter", function, "aws", "ap-southeast-2", "123456789012")


@given(functions)
def test_ecr_takes_the_repository_and_iam_the_roles(function: str) -> None:
    made = names(function)
    assert ECR.fullmatch(made.repository)
    assert max(len(made.role), len(made.schedule_role)) <= 64
    assert made.role != made.schedule_role


@pytest.mark.parametrize("other", ["Shop", "shop_", "shop--", "SHOP"])
def test_no_function_has_the_images_of_another(other: str) -> None:
    assert names("shop").repository == "bentofn/shop"
    assert names(other).repository != names("shop").repository
