"""What the framework and our own section say for clouds: AWS's words, secrets, targets' own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bentofn.adapters.aws_words import AwsSettings
from bentofn.adapters.batching import Batching
from bentofn.adapters.fields import stated
from bentofn.adapters.secret import Secret, secret_values
from bentofn.adapters.settings import FunctionSettings, FunctionSpec
from bentofn.adapters.spec import default_spec, read_spec
from bentofn.adapters.url import Url
from bentofn.runtime.errors import UserError

CLOUDS = """
service: shop
params:
  default: {memory: 512}
  prod: {memory: 3008}
provider:
  name: aws
  stage: ${opt:stage, 'prod'}
  region: eu-central-1
  runtime: python3.12
  architecture: arm64
  logRetentionInDays: 14
  deploymentBucket: {name: "shop-${sls:stage}"}
  tags: {stage: "${self:provider.stage}", team: search}
  iam:
    role:
      statements:
        - {Effect: Allow, Action: "s3:GetObject", Resource: !Sub "arn:${AWS::Region}:x"}
      managedPolicies: ["arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess"]
functions:
  embed:
    handler: x.y
    description: Embeddings
    memorySize: ${param:memory}
    snapStart: true
    provisionedConcurrency: 2
    role: arn:aws:iam::1:role/own
    tags: {team: embed}
    vpc: {subnetIds: ["${env:SUBNET}"]}
  other:
    image: 1.dkr.ecr.eu-central-1.amazonaws.com/other:1
custom:
  bentofn:
    functions:
      embed:
        gpu: [H100, "A100:2"]
        gpuSnapshot: true
        batching: {maxBatchSize: 32}
        onCold: hold
        bufferInstances: 1
        regions: [eu-west]
        secrets:
          TOKEN: env
          KEY: {from: "file:key.txt"}
          PASSWORD: ssm:/shop/password
        targets:
          aws-lambda: {gpu: null, batching: null, memorySize: 1769, tags: {cloud: aws}}
          modal: {secrets: {PASSWORD: "modal:shop"}, url: false}
"""


def write(directory: Path, text: str) -> Path:
    path = directory / "serverless.yml"
    path.write_text(text)
    return path


def settings(directory: Path, text: str, target: str, **environ: str) -> FunctionSettings:
    spec = read_spec(write(directory, text), environ, target)
    function = next(iter(spec.functions.values()))
    made = function.spec("b:1")
    assert FunctionSpec.from_json(json.loads(json.dumps(made.to_json()))) == made
    return function.settings


def test_every_word_for_clouds(tmp_path: Path) -> None:
    found = settings(tmp_path, CLOUDS, "modal", SUBNET="subnet-1")
    assert (found.memory, found.architecture, found.description) == (3008, "arm64", "Embeddings")
    assert found.tags == {"stage": "prod", "team": "embed"}
    assert (found.gpu, found.gpu_fallbacks, found.gpu_snapshot) == ("H100", ("A100:2",), True)
    assert (found.batching, found.on_cold) == (Batching(True, 32), "hold")
    assert (found.buffer_instances, found.regions) == (1, ("eu-west",))
    assert found.aws == AwsSettings(
        service="shop",
        stage="prod",
        region="eu-central-1",
        runtime="python3.12",
        package="zip",
        role="arn:aws:iam::1:role/own",
        statements=(
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": {"Sub": "arn:${AWS::Region}:x"},
            },
        ),
        managed_policies=("arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess",),
        provisioned_concurrency=2,
        snap_start=True,
        log_retention=14,
        bucket="shop-prod",
        others={"vpc": {"subnetIds": ["subnet-1"]}},
    )


def test_a_targets_own_section_comes_first_and_adds_to_variables_and_tags(tmp_path: Path) -> None:
    here = settings(tmp_path, CLOUDS, "local", SUBNET="s")
    assert (here.gpu, here.memory) == ("H100", 3008)
    aws = settings(tmp_path, CLOUDS, "aws-lambda", SUBNET="s")
    assert (aws.gpu, aws.batching, aws.memory) == (None, None, 1769)
    assert aws.tags == {"stage": "prod", "team": "embed", "cloud": "aws"}
    modal = settings(tmp_path, CLOUDS, "modal", SUBNET="s")
    assert modal.url is None
    assert modal.secrets == {
        "TOKEN": Secret("env", "TOKEN"),
        "KEY": Secret("file", str(tmp_path / "key.txt")),
        "PASSWORD": Secret("modal", "shop"),
    }


def test_a_function_with_an_image_is_packaged_as_one(tmp_path: Path) -> None:
    functions = read_spec(write(tmp_path, CLOUDS), {"SUBNET": "s"}, "aws-lambda").functions
    assert functions["other"].settings.aws.package == "image"
    assert functions["embed"].settings.aws.package == "zip"


@pytest.mark.parametrize("target", ["aws-lambda", "modal", "moon"])
def test_a_cloud_gives_a_public_address_only_where_a_file_asks(tmp_path: Path, target: str) -> None:
    bare = "service: s\nprovider: aws\nfunctions: {a: {handler: x}}"
    assert settings(tmp_path, bare, target).url is None
    asked = bare.replace("x}", "x, url: true}")
    assert settings(tmp_path, asked, target).url == Url()
    unwritten = default_spec("a", bento="a:1", target=target).functions["a"].settings.url
    assert unwritten == (None if target == "moon" else Url(authorizer="aws_iam"))


def test_target_local_has_an_address_on_this_machine_unless_a_file_says_no(tmp_path: Path) -> None:
    bare = "service: s\nprovider: aws\nfunctions: {a: {handler: x}}"
    assert settings(tmp_path, bare, "local").url == Url()
    assert settings(tmp_path, bare.replace("x}", "x, url: false}"), "local").url is None
    assert default_spec("a", bento="a:1").functions["a"].settings.url == Url()


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("{onCold: wait}", "a.onCold: it must be one of queue, hold, error"),
        ("{batching: {maxBatchSize: 1}}", "maxBatchSize: it must be a whole number, 2 or more"),
        ("{batching: {size: 2}}", "there is no key 'size'"),
        ("{secrets: {TOKEN: hunter2}}", "secrets.TOKEN: it must begin with env:, file:, ssm:"),
        ("{secrets: {TOKEN: 'ssm:'}}", "write what it is called there, as in ssm:NAME"),
        ("{targets: {loca: {cpu: 1}}}", "there is no key 'loca'; did you mean 'local'?"),
        ("{targets: {moon: {memorySze: 1}}}", "targets.moon: there is no key 'memorySze'"),
        ("{targets: {local: {memorySize: x}}}", "targets.local.memorySize: it must be a whole"),
        ("{packaging: rpm}", "it must be one of auto, zip, image"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_no_value(
    tmp_path: Path, section: str, sentence: str
) -> None:
    text = (
        "service: s\nprovider: aws\nfunctions: {a: {}}\n"
        f"custom: {{bentofn: {{functions: {{a: {section}}}}}}}"
    )
    target = "aws-lambda" if "packaging" in section else "local"
    with pytest.raises(UserError) as caught:
        read_spec(write(tmp_path, text), {}, target)
    assert sentence in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_what_is_awss_own_is_a_mistake_only_on_its_way_there(tmp_path: Path) -> None:
    text = "service: s\nprovider: aws\nfunctions: {a: {snapStart: maybe, role: !GetAtt Role.Arn}}"
    assert settings(tmp_path, text, "local").aws == AwsSettings("s")
    with pytest.raises(UserError, match=r"functions\.a\.snapStart: it must be true or false"):
        settings(tmp_path, text, "aws-lambda")


def test_what_settings_state(tmp_path: Path) -> None:
    found = list(stated(settings(tmp_path, CLOUDS, "modal", SUBNET="s")))
    assert {"gpu", "gpu list", "onCold hold", "secrets env", "secrets modal", "vpc"} <= {*found}
    assert "timeout" not in found


def test_variables_of_the_file_itself(tmp_path: Path) -> None:
    text = "service: s\nprovider: aws\nfunctions: {a: {description: VALUE}}\ncustom: CUSTOM"

    def described(value: str, custom: str = "{}") -> str:
        written = text.replace("VALUE", f"'{value}'").replace("CUSTOM", custom)
        return settings(tmp_path, written, "aws-lambda").description

    assert described("${self:custom.a.b}", "{a: {b: deep}}") == "deep"
    assert described("x-${self:custom.a, self:service}") == "x-s"
    assert described("${sls:stage}") == "dev"
    assert described('${opt:stage, param:stage, "none"}') == "none"
    with pytest.raises(UserError, match="refer to themselves"):
        described("${self:custom.a}", "{a: '${self:custom.a}'}")
    with pytest.raises(UserError, match=r"variable self:custom\.a has no value"):
        described("${self:custom.a}")


def test_values_of_secrets_are_read_where_one_deploys(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    secrets = {
        "A": Secret("env", "HERE"),
        "B": Secret("file", str(tmp_path / "key")),
        "C": Secret("ssm", "/c"),
    }
    assert secret_values(secrets, {"HERE": "from here"}) == {"A": "from here", "B": "from a file"}
    with pytest.raises(UserError, match="Secret A comes from the variable HERE, which is not set"):
        secret_values(secrets, {})


@pytest.mark.parametrize(
    "section",
    [
        "description: !Sub 'of ${AWS::Region}'",
        "description: '${file(./description.txt)}'",
        "tags: {Owner: !Ref Owner}",
        "architecture: '${ssm:/architecture}'",
    ],
)
def test_what_the_framework_alone_reads_is_no_mistake_on_target_local(
    tmp_path: Path, section: str
) -> None:
    text = f"service: s\nprovider: aws\nfunctions: {{a: {{{section}}}}}"
    assert settings(tmp_path, text, "local") == FunctionSettings(aws=AwsSettings("s"))
    with pytest.raises(UserError, match=r"functions\.a\."):
        settings(tmp_path, text, "aws-lambda")


@pytest.mark.parametrize(
    "text",
    [
        "service: s\nprovider: aws\nfunctions: {a: {role: !GetAtt Role.Arn}}",
        "service: s\nprovider: {name: aws, iam: {role: {'Fn::GetAtt': [R, Arn]}}}\n"
        "functions: {a: }",
        "service: s\nprovider: {name: aws, iam: {role: {permissionsBoundary: !Ref B}}}\n"
        "functions: {a: }",
    ],
)
def test_a_role_that_only_cloudformation_knows_is_not_left_out(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"(role|Boundary): bentofn makes no .*; write the ARN"):
        settings(tmp_path, text, "aws-lambda")
    assert settings(tmp_path, text, "local").aws.role is None


def test_what_the_provider_says_holds_for_each_function(tmp_path: Path) -> None:
    text = """
service: s
provider:
  name: aws
  vpc: {subnetIds: [subnet-1], securityGroupIds: [sg-1]}
  layers: [arn:aws:lambda:eu-west-1:1:layer:l:1]
  kmsKeyArn: arn:aws:kms:eu-west-1:1:key/a
  tracing: {lambda: true, apiGateway: true}
functions:
  a: {provisionedConcurrency: 0}
  b: {vpc: {subnetIds: [subnet-2]}, tracing: PassThrough, kmsKeyArn: arn:aws:kms:eu-west-1:1:key/b}
  c: {vpc: false}
"""
    found = read_spec(write(tmp_path, text), {}, "aws-lambda").functions
    a, b, c = (found[name].settings.aws for name in "abc")
    assert a.provisioned_concurrency is None  # the framework's schema has 0 for none
    assert a.others == {
        "vpc": {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]},
        "layers": ["arn:aws:lambda:eu-west-1:1:layer:l:1"],
        "kmsKeyArn": "arn:aws:kms:eu-west-1:1:key/a",
        "tracing": True,
    }
    assert b.others["vpc"] == {"subnetIds": ["subnet-2"], "securityGroupIds": ["sg-1"]}
    assert (b.others["tracing"], b.others["kmsKeyArn"][-1]) == ("PassThrough", "b")
    assert c.others["vpc"] is False


@pytest.mark.parametrize(
    ("of_all", "own", "expected"),
    [
        ("{authorizer: aws_iam}", "{cors: true}", "aws_iam"),
        ("{authorizer: aws_iam}", "{authorizer: null}", None),
        ("{authorizer: aws_iam}", "true", None),
        ("true", "{cors: true}", None),
        ("false", "{authorizer: aws_iam}", "aws_iam"),
    ],
)
def test_a_targets_own_section_opens_no_url_unless_it_says_so(
    tmp_path: Path, of_all: str, own: str, expected: str | None
) -> None:
    path = tmp_path / "serverless.yml"
    path.write_text(
        f"service: s\nprovider: aws\nfunctions: {{a: {{url: {of_all}}}}}\n"
        f"custom: {{bentofn: {{functions: {{a: {{targets: {{modal: {{url: {own}}}}}}}}}}}}}\n"
    )
    url = read_spec(path, {}, "modal").functions["a"].settings.url
    assert url is not None
    assert url.authorizer == expected
    assert (url.cors is not None) == ("cors" in own)
