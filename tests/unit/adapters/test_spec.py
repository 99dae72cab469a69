from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.aws_words import AwsSettings
from bentofn.adapters.event_rules import EventRules
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.schedule import Schedule
from bentofn.adapters.spec import DeploymentSpec, default_spec, load_spec, read_spec
from bentofn.adapters.url import Cors, Url
from bentofn.adapters.variables import Scope, resolve
from bentofn.runtime.errors import UserError

FULL = """
service: shop
provider:
  name: aws
  runtime: python3.12
  timeout: 20
  environment:
    STAGE: ${env:STAGE, 'dev'}
  iam:
    role:
      statements: [{Effect: Allow, Action: "s3:*", Resource: !Sub "arn:${AWS::Region}"}]
functions:
  embed:
    handler: bentofn.runtime.aws_lambda.handler
    memorySize: ${env:MEMORY, 2048}
    ephemeralStorageSize: 1024
    timeout: 60
    reservedConcurrency: 5
    environment:
      KEY: ${env:API_KEY}
      DEBUG: false
      N: 3
    url:
      cors:
        allowedOrigins: https://page.example
        maxAge: 300
    events:
      - schedule: rate(1 hour)
  plain:
    handler: x.y
custom:
  bentofn:
    functions:
      embed:
        project: models/embed
        idleTimeout: 30
        minInstances: 1
        maxInstances: 2
        concurrency: 8
        snapshot: none
        cpu: 0.5
      plain:
        bento: plain:1
  other: {anything: goes}
"""


def write(directory: Path, text: str) -> Path:
    path = directory / "serverless.yml"
    path.write_text(text)
    return path


def read(directory: Path, text: str, **environ: str) -> DeploymentSpec:
    return read_spec(write(directory, text), environ)


def test_everything_that_a_file_may_say(tmp_path: Path) -> None:
    (tmp_path / "models" / "embed").mkdir(parents=True)
    spec = read(tmp_path, FULL, API_KEY="s3cret")
    embed = spec.functions["embed"]
    assert spec.service == "shop"
    assert embed.project == tmp_path / "models" / "embed"
    assert embed.settings == FunctionSettings(
        memory=2048,
        scratch=1024,
        timeout=60.0,
        environment={"STAGE": "dev", "KEY": "s3cret", "DEBUG": "false", "N": "3"},
        url=Url(cors=Cors(origins=("https://page.example",), max_age=300)),
        reserved_concurrency=5,
        events=({"schedule": "rate(1 hour)"},),
        schedules=(Schedule("schedule-1", "rate(1 hour)"),),
        idle_timeout=30.0,
        min_instances=1,
        max_instances=2,
        concurrency=8,
        snapshot="none",
        cpu=0.5,
        aws=AwsSettings(
            service="shop",
            runtime="python3.12",
            statements=(
                {
                    "Effect": "Allow",
                    "Action": "s3:*",
                    "Resource": {"Sub": "arn:${AWS::Region}"},
                },
            ),
        ),
    )
    plain = spec.functions["plain"]
    assert (plain.bento, plain.project, plain.settings.timeout) == ("plain:1", None, 20.0)
    assert "s3cret" not in repr(spec)


MIXED = """
service: s
provider: {name: aws, runtime: nodejs20.x}
functions:
  page: {handler: index.handler, role: !GetAtt Role.Arn, layers: [!Ref Layer]}
  old: {handler: Main, runtime: java21, warmup: true}
  mine: {handler: x.y, runtime: python3.12}
  image: {image: repository/mine}
"""


@pytest.mark.parametrize("target", ["local", "aws-lambda", "modal"])
def test_functions_of_other_runtimes_are_refused_by_name_and_keep_no_others(
    tmp_path: Path, target: str
) -> None:
    functions = read_spec(write(tmp_path, MIXED), {}, target).functions
    functions["mine"].check()
    functions["image"].check()
    for name, runtime in (("page", "nodejs20.x"), ("old", "java21")):
        with pytest.raises(UserError, match=f"'{name}' has the runtime {runtime}.*--function"):
            functions[name].check()


def test_a_file_says_what_becomes_of_events(tmp_path: Path) -> None:
    text = """
service: s
provider: aws
functions:
  work:
    maximumRetryAttempts: 1
    maximumEventAge: 600
    destinations:
      onSuccess: report
      onFailure: {type: sqs, arn: "arn:aws:sqs:us-east-1:1:lost"}
    onError: arn:aws:sns:us-east-1:1:alarms
  report:
    url: {authorizer: aws_iam, invokeMode: RESPONSE_STREAM}
"""
    functions = read(tmp_path, text).functions
    rules = EventRules(
        1, 600, "report", "arn:aws:sqs:us-east-1:1:lost", "arn:aws:sns:us-east-1:1:alarms"
    )
    assert functions["work"].settings.event_rules == rules
    assert functions["report"].settings.event_rules is None
    assert functions["report"].settings.url == Url(None, "aws_iam", "RESPONSE_STREAM")
    for function in functions.values():
        spec = function.spec("b:1")
        assert FunctionSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_a_function_sets_constants_of_the_profiles_it_may_run_by(tmp_path: Path) -> None:
    text = """
service: s
provider: aws
functions: {a: {handler: a.b}}
custom:
  bentofn:
    functions:
      a:
        as: runpod
        bufferInstances: 2
        runpod: {scalerType: REQUEST_COUNT, scalerValue: 3}
        cloud-run: {startupCpuBoost: false}
        targets:
          local:
            runpod: {scalerValue: 5}
"""
    settings = read(tmp_path, text).functions["a"].settings
    assert settings.buffer_instances == 2
    assert settings.tuning == {
        "runpod": {"scalerValue": 5.0},
        "cloud-run": {"startupCpuBoost": False},
    }
    spec = FunctionSpec("a", "b:1", settings)
    assert FunctionSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    elsewhere = read_spec(write(tmp_path, text), {}, "modal").functions["a"]
    assert elsewhere.settings.tuning == {}


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("runpod: {scalerType: FAST}", "runpod.scalerType: it must be one of QUEUE_DELAY, REQUEST"),
        ("runpod: {scalerValue: 0}", "runpod.scalerValue: it must be a number over 0"),
        ("runpod: {delay: 1}", "there is no key 'delay'"),
        ("knative: {activationScale: 1.5}", "knative.activationScale: it must be a whole number"),
        ("cloud-run: {startupCpuBoost: 3}", "startupCpuBoost: it must be true or false"),
        ("lambda: {memory: 3}", "there is no key 'memory'"),
    ],
)
def test_a_constant_that_cannot_be_set_so(tmp_path: Path, section: str, sentence: str) -> None:
    functions = "functions: {a: {handler: a.b}}"
    ours = f"custom: {{bentofn: {{functions: {{a: {{{section}}}}}}}}}"
    with pytest.raises(UserError) as caught:
        read(tmp_path, f"service: s\nprovider: aws\n{functions}\n{ours}")
    assert sentence in str(caught.value)


def test_dead_letters_may_go_to_what_the_file_makes_itself(tmp_path: Path) -> None:
    text = """
service: s
provider: aws
functions:
  topic: {onError: !Ref Alarms}
  queue: {onError: {"Fn::GetAtt": [Lost, Arn]}}
  tagged: {onError: !GetAtt Lost.Arn}
  elsewhere: {onError: {"Fn::ImportValue": other}}
"""
    functions = read(tmp_path, text).functions
    found = {name: each.settings.event_rules for name, each in functions.items()}
    lost = EventRules(dead_letters="arn:aws:sqs:us-east-1:000000000000:Lost")
    topic = EventRules(dead_letters="arn:aws:sns:us-east-1:000000000000:Alarms")
    assert found == {"topic": topic, "queue": lost, "tagged": lost, "elsewhere": None}


def test_a_function_without_a_section_of_ours_is_the_folders_project(tmp_path: Path) -> None:
    spec = read(tmp_path, "service: s\nprovider: {name: aws}\nfunctions: {hello: {handler: a.b}}")
    assert spec.functions["hello"].project == tmp_path
    assert spec.functions["hello"].settings == FunctionSettings(aws=AwsSettings("s"))


def test_no_file_is_no_spec_and_a_default_names_the_function(tmp_path: Path) -> None:
    assert load_spec(tmp_path) is None
    assert list(default_spec("my.bento", project=tmp_path).functions) == ["my-bento"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("service: s\nfuntions: {}", "there is no key 'funtions'; did you mean 'functions'?"),
        ("service: s\nfunctions: {}", "declares no function"),
        ("functions: {a: {handler: x}}", "service: it is missing"),
        ("service: s\nfunctions: {a: {memorySze: 1}}", "functions.a: there is no key 'memorySze'"),
        ("service: s\nprovider: aws\nfunctions: {a: {ephemeralStorageSize: 100}}", "512 or more"),
        (
            "service: s\nprovider: aws\nfunctions: {a: {ephemeralStorageSize: 10241}}",
            "10240 at most",
        ),
        (
            "service: s\nfunctions: {a: {memorySize: big}}",
            "a.memorySize: it must be a whole number, 1 or more",
        ),
        ("service: s\nfunctions: {a: {memorySize: 1.5}}", "a.memorySize: it must be a whole"),
        ("service: s\nfunctions: {a: {timeout: -1}}", "functions.a.timeout: it must be"),
        ("service: s\nfunctions: {a: {timeout: .inf}}", "functions.a.timeout: it must be"),
        ("service: s\nfunctions: {'a b': {}}", "a function's name is"),
        ("service: s\nfunctions: [a]", "functions: it must be a mapping"),
        ("service: s\nprovider: {timout: 3}\nfunctions: {a: {}}", "did you mean 'timeout'?"),
        ("service: s\nfunctions: {a: {url: {cross: true}}}", "did you mean 'cors'?"),
        ("service: s\nfunctions: {a: {url: {authorizer: jwt}}}", "it can only be aws_iam"),
        ("service: s\nfunctions: {a: {url: {invokeMode: FAST}}}", "it must be one of BUFFERED"),
        ("service: s\nfunctions: {a: {maximumRetryAttempts: 3}}", "it must be 2 at most"),
        ("service: s\nfunctions: {a: {maximumEventAge: 5}}", "60 or more"),
        ("service: s\nfunctions: {a: {onError: lost}}", "the ARN of an SNS topic or of an SQS"),
        (
            "service: s\nfunctions: {a: {onError: 'arn:aws:s3:::b'}}",
            "a.onError: it must be the ARN",
        ),
        ("service: s\nfunctions: {a: {destinations: {onSuccess: b}}}", "a function of this file"),
        ("service: s\nfunctions: {a: {destinations: {onWin: a}}}", "there is no key 'onWin'"),
        ("service: [\n", "serverless.yml:2: not valid YAML"),
        ("service: s\nfunctions: {a: {environment: {K: {x: 1}}}}", "a.environment.K: it must be"),
        ("service: s\nfunctions: {a: {timeout: '${env:NOT_SET}'}}", "NOT_SET is not set"),
        ("service: s\nfunctions: {a: {timeout: '${ssm:x}'}}", "source 'ssm' is not supported"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=r"serverless\.yml") as caught:
        read(tmp_path, text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("{idleTimeOut: 3}", "custom.bentofn.functions.a: there is no key 'idleTimeOut'"),
        ("{snapshot: fast}", "a.snapshot: it must be one of auto, criu, template, none"),
        ("{bento: b, project: p}", "project and bento exclude each other"),
        ("{project: nowhere}", "there is no folder 'nowhere'"),
        ("{minInstances: 3, maxInstances: 2}", "it is over maxInstances (2)"),
        ("{maxInstances: 0}", "a.maxInstances: it must be a whole number, 1 or more"),
        ("{maxInstances: lots}", "a.maxInstances: it must be a whole number, 1 or more"),
    ],
)
def test_a_mistake_in_our_own_section(tmp_path: Path, section: str, sentence: str) -> None:
    head = "service: s\nfunctions: {a: {}}\n"
    with pytest.raises(UserError) as caught:
        read(tmp_path, f"{head}custom: {{bentofn: {{functions: {{a: {section}}}}}}}")
    assert sentence in str(caught.value)


def test_a_section_for_a_function_that_is_not_there(tmp_path: Path) -> None:
    text = "service: s\nfunctions: {embed: {}}\ncustom: {bentofn: {functions: {embd: {}}}}"
    with pytest.raises(UserError, match="no function 'embd'; did you mean 'embed'"):
        read(tmp_path, text)


def test_a_message_never_holds_a_value(tmp_path: Path) -> None:
    text = "service: s\nfunctions: {a: {timeout: '${env:SECRET}'}}"
    with pytest.raises(UserError) as caught:
        read(tmp_path, text, SECRET="hunter2")
    assert "hunter2" not in str(caught.value)


def test_variables() -> None:
    environ = Scope({"A": "a", "TRICK": "${env:A}"})
    assert resolve("${env:A}", "f", environ) == "a"
    assert resolve("x-${env:A}-${env:B, 2}", "f", environ) == "x-a-2"
    assert resolve("${env:B, env:A}", "f", environ) == "a"
    assert resolve("${env:B, ${env:C, 'a, b'}}", "f", environ) == "a, b"
    assert resolve("${env:B, true}", "f", environ) is True
    assert resolve("${env:TRICK}", "f", environ) == "${env:A}"
    with pytest.raises(UserError, match="not closed"):
        resolve("${env:A", "f", environ)


@given(st.text(max_size=40))
def test_any_text_resolves_or_says_why(text: str) -> None:
    try:
        resolve("${" + text, "f", Scope({}))
        resolve(text, "f", Scope({}))
    except UserError:
        pass


@given(
    st.builds(
        FunctionSettings,
        environment=st.dictionaries(st.text(), st.text()),
        url=st.none() | st.builds(Url, cors=st.none() | st.builds(Cors)),
        events=st.lists(st.dictionaries(st.text(), st.integers())).map(tuple),
        cpu=st.none() | st.floats(0.1, 64),
        snapshot=st.sampled_from(["auto", "template", "none"]),
    )
)
def test_a_spec_survives_json(settings: FunctionSettings) -> None:
    spec = FunctionSpec("f", "b:1", settings)
    assert FunctionSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_a_function_is_deployed_as_a_backends(tmp_path: Path) -> None:
    written = """
service: a
provider: {name: aws}
functions: {a: {handler: x.y}}
custom: {bentofn: {functions: {a: {as: WHOSE}}}}
"""
    path = tmp_path / "serverless.yml"
    path.write_text(written.replace("WHOSE", "cloud-run"))
    assert read_spec(path).functions["a"].settings.profile == "cloud-run"
    path.write_text(written.replace("{as: WHOSE}", "{}"))
    assert read_spec(path).functions["a"].settings.profile == "plain"
    path.write_text(written.replace("WHOSE", "moon"))
    with pytest.raises(UserError, match=r"a\.as: it must be one of plain, cloud-run, "):
        read_spec(path)
