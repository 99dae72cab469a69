"""What AWS answers is told in one sentence, with the remedy that helps and without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from bentofn.adapters.aws_lambda.errors import refused, unreachable
from bentofn.adapters.aws_lambda.session import Session
from bentofn.runtime.errors import UserError

FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:greeter"
ROLE = "arn:aws:iam::123456789012:role/bentofn/greeter"


def told(
    code: str,
    message: str,
    service: str = "lambda",
    call: str = "CreateFunction",
    status: int = 400,
    **said: bool,
) -> str:
    from botocore.exceptions import ClientError

    answer = {"Error": {"Code": code, "Message": message}}
    error = ClientError({**answer, "ResponseMetadata": {"HTTPStatusCode": status}}, call)
    return str(refused(error, service, call, FUNCTION, **said))


def test_the_permission_that_is_missing_is_the_one_that_aws_names() -> None:
    sentence = told(
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: iam:PassRole on "
        f"resource: {ROLE} because no identity-based policy allows the iam:PassRole action",
    )
    assert f'"Action": ["iam:PassRole"], "Resource": ["{ROLE}"]' in sentence


def test_a_call_that_was_denied_without_more_words_needs_its_own_permission() -> None:
    sentence = told("AccessDeniedException", "Not yours.")
    assert f'"Action": ["lambda:CreateFunction"], "Resource": ["{FUNCTION}"]' in sentence
    # An answer to a HEAD has no body, and so no other code.
    assert '"Action": ["s3:ListBucket"]' in told("403", "Forbidden", "s3", "HeadBucket")


def test_what_was_made_is_taken_up_where_anything_may_have_been() -> None:
    words = "what was made so far is taken up"
    assert words not in told("InvalidParameterValueException", "Too long.")
    assert words in told("InvalidParameterValueException", "Too long.", has_written=True)
    lost = EndpointConnectionError(endpoint_url="http://127.0.0.1:9/")
    assert words not in str(unreachable(lost, "sts", "GetCallerIdentity"))
    assert words in str(unreachable(lost, "lambda", "PublishVersion", has_written=True))


def test_variables_that_lambda_repeats_are_not_told() -> None:
    sentence = told(
        "InvalidParameterValueException",
        "Lambda was unable to configure your environment variables because the environment "
        'variables you have provided exceeded the 4KB limit. String measured: {"TOKEN":"geheim"}',
    )
    assert "4KB limit" in sentence
    assert "geheim" not in sentence


def test_a_failure_of_the_service_is_waited_for_and_its_page_is_not_shown() -> None:
    sentence = told("500", "<!doctype html> <html lang=en> <p>Sorry", status=500)
    assert "html" not in sentence
    assert "a page of HTML (500); wait a minute and try again" in sentence


def test_who_is_not_logged_in_any_more_is_told_to_log_in() -> None:
    from botocore.exceptions import SSOTokenLoadError

    error = SSOTokenLoadError(profile_name="work", error_msg="expired")
    assert "aws sso login" in str(unreachable(error, "sts", "GetCallerIdentity"))


def test_a_profile_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_PROFILE", "wrok")
    with pytest.raises(UserError, match=r"wrok.*AWS_PROFILE"):
        Session()


def test_an_address_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nowhere")
    with pytest.raises(UserError, match="AWS_ENDPOINT_URL"):
        Session(region="eu-central-1").client("lambda")


def test_an_invocation_is_waited_for_as_long_as_lambda_lets_it_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    session = Session(region="eu-central-1")
    assert session.client("lambda", "Invoke").meta.config.read_timeout > 900
    assert session.client("lambda", "GetFunction").meta.config.read_timeout == 60
