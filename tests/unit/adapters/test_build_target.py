from __future__ import annotations

import pytest

from bentofn.adapters.aws_words import AwsSettings
from bentofn.adapters.build_target import BuildTarget, build_target
from bentofn.adapters.settings import FunctionSettings

ARM = FunctionSettings(architecture="arm64", aws=AwsSettings(runtime="python3.13"))


@pytest.mark.parametrize(
    ("settings", "target", "host", "expected"),
    [
        (ARM, "local", "linux/amd64", BuildTarget()),
        (ARM, "aws-lambda", "linux/amd64", BuildTarget("linux/arm64", "3.13")),
        (ARM, "aws-lambda", "linux/arm64", BuildTarget(None, "3.13")),
        (ARM, "modal", "linux/amd64", BuildTarget()),  # and its plan says that there is no arm64
        (FunctionSettings(), "modal", "linux/amd64", BuildTarget()),
        (FunctionSettings(), "modal", "linux/arm64", BuildTarget("linux/amd64")),
        (FunctionSettings(), "aws-lambda", "linux/arm64", BuildTarget()),
        (FunctionSettings(), "modal", "darwin/arm64", BuildTarget("linux/amd64")),
    ],
)
def test_a_bento_is_built_for_where_it_goes(
    settings: FunctionSettings, target: str, host: str, expected: BuildTarget
) -> None:
    assert build_target(settings, target, host) == expected
