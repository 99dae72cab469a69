"""Variables of ``serverless.yml`` that come of files, stages and each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.adapters.function_section import FunctionSettings
from bentofn.adapters.spec import read_spec
from bentofn.runtime.errors import UserError

TEXT = """
service: s
provider:
  name: aws
  stage: ${opt:stage, 'dev'}
  environment: PROVIDER
functions:
  a:
    memorySize: MEMORY
    description: "VALUE"
custom: CUSTOM
"""


def read(
    folder: Path, value: str = "d", *, memory: str = "128", provider: str = "{}",
    custom: str = "{}", stage: str | None = None, target: str = "aws-lambda",
) -> FunctionSettings:  # fmt: skip
    written = TEXT.replace("VALUE", value).replace("MEMORY", memory)
    written = written.replace("PROVIDER", provider).replace("CUSTOM", custom)
    (folder / "serverless.yml").write_text(written)
    return (
        read_spec(folder / "serverless.yml", {"HERE": "h"}, target, stage).functions["a"].settings
    )


def test_values_come_from_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "values").mkdir()
    (tmp_path / "values" / "dev.yml").write_text(
        "a: {b: [x, '${self:service}-${env:HERE}']}\nm: 256"
    )
    (tmp_path / "v.json").write_text('{"KEY": "from json"}')
    (tmp_path / "d.txt").write_text("a text of ${env:HERE}")
    assert read(tmp_path, "${file(./values/dev.yml):a.b.1}").description == "s-h"
    assert read(tmp_path, "${file(values/${sls:stage}.yml):a.b.0}").description == "x"
    assert read(tmp_path, "${file(d.txt)}").description == "a text of h"
    assert read(tmp_path, memory="${file(values/dev.yml):m}").memory == 256
    assert read(tmp_path, provider="${file(v.json)}").environment == {"KEY": "from json"}
    assert read(tmp_path, "${file(no.yml):a, 'usual'}").description == "usual"
    with pytest.raises(UserError, match=r"variable file\(no\.yml\):a has no value"):
        read(tmp_path, "${file(no.yml):a}")
    with pytest.raises(UserError, match=r"variable file\(v\.json\):OTHER has no value"):
        read(tmp_path, "${file(v.json):OTHER}")
    (tmp_path / "v.js").write_text("")
    with pytest.raises(UserError, match=r"file\(v\.js\):a is what a program says"):
        read(tmp_path, "${file(v.js):a}")


def test_a_variable_stands_in_the_name_of_another(tmp_path: Path) -> None:
    custom = "{memory: {dev: 256, prod: 1024}, list: [x, y]}"
    memory = "${self:custom.memory.${sls:stage}}"
    assert read(tmp_path, memory=memory, custom=custom).memory == 256
    assert read(tmp_path, memory=memory, custom=custom, stage="prod").memory == 1024
    assert read(tmp_path, "${self:custom.list.1}", custom=custom).description == "y"
    assert read(tmp_path, "${env:NONE, 'a-${sls:stage}'}").description == "a-dev"
    with pytest.raises(UserError, match="a variable in the midst of a text is no text"):
        read(tmp_path, "x-${self:custom.list}", custom=custom)


def test_the_stage_of_the_command_line_comes_before_the_files(tmp_path: Path) -> None:
    for stage, expected in ((None, "dev"), ("prod", "prod")):
        found = read(tmp_path, "${opt:stage, sls:stage}-${self:provider.stage}", stage=stage)
        assert (found.description, found.aws.stage) == (f"{expected}-{expected}", expected)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("${ssm:/a/b}", "source 'ssm' is not supported; name it under custom.bentofn.functions"),
        ("${ssm(eu-west-1):/a}", "custom.bentofn.functions.NAME.secrets"),
        ("${cf:stack.Output}", "reads no CloudFormation stack"),
        ("${cf(eu-west-1):stack.Output}", "reads no CloudFormation stack"),
        ("${s3:bucket/key}", "copy the value into a file"),
        ("${aws:accountId}", "write the value, or ${env:NAME}"),
        ("${git:branch}", "source 'git' is not supported"),
        ("${file:x.yml}", r"${file(values.yml):key}"),
        ("${vault:x}", "source 'vault' is not supported; write ${env:NAME}"),
    ],
)
def test_a_source_of_the_frameworks_alone_is_refused_with_what_to_write(
    tmp_path: Path, value: str, told: str
) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, value)
    assert told in str(caught.value)


@pytest.mark.parametrize("target", ["local", "aws-lambda"])
def test_no_variable_is_deployed_as_it_is_written(tmp_path: Path, target: str) -> None:
    provider = "{PLACE: 'arn:${AWS::Region}'}"
    with pytest.raises(UserError, match=r"environment\.PLACE: .* is CloudFormation's"):
        read(tmp_path, provider=provider, target=target)


@pytest.mark.parametrize("value", ["${a${env:HIDDEN}}", "${file(${env:HIDDEN}.js)}"])
def test_an_error_has_no_value_of_a_variable_in_the_name_of_another(
    tmp_path: Path, value: str
) -> None:
    (tmp_path / "hidden.js").write_text("")
    (tmp_path / "serverless.yml").write_text(
        f"service: s\nprovider: {{name: aws}}\nfunctions: {{a: {{description: '{value}'}}}}\n"
    )
    with pytest.raises(UserError) as caught:
        read_spec(tmp_path / "serverless.yml", {"HIDDEN": "hidden"}, "aws-lambda")
    assert "hidden" not in str(caught.value)
    assert "${env:HIDDEN}" in str(caught.value)


def test_former_keys_of_the_role_are_read(tmp_path: Path) -> None:
    (tmp_path / "serverless.yml").write_text(
        "service: s\nprovider:\n  name: aws\n  rolePermissionsBoundary: arn:aws:iam::1:policy/p\n"
        "  iamRoleStatements: [{Effect: Allow, Action: a, Resource: b}]\n"
        "  iamManagedPolicies: [arn:aws:iam::aws:policy/q]\nfunctions: {a: {}}\n"
    )
    aws = read_spec(tmp_path / "serverless.yml", {}, "aws-lambda").functions["a"].settings.aws
    assert aws.permissions_boundary == "arn:aws:iam::1:policy/p"
    assert aws.statements == ({"Effect": "Allow", "Action": "a", "Resource": "b"},)
    assert aws.managed_policies == ("arn:aws:iam::aws:policy/q",)
