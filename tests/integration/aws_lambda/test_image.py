"""An image goes to a registry in ECR's place, with ECR's token, and becomes a function."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import oci_registry
import pytest
from aws_cloud import Aws

from bentofn.adapters.aws_lambda.apply import apply
from bentofn.adapters.aws_lambda.desired import desire
from bentofn.adapters.aws_lambda.destroy import destroy
from bentofn.adapters.aws_lambda.errors import action_of
from bentofn.adapters.aws_lambda.find import names_of
from bentofn.adapters.aws_lambda.permissions import missing
from bentofn.adapters.aws_lambda.planning import Intent
from bentofn.adapters.aws_lambda.reading import read_live
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.protocol import Deployed, FunctionSettings, FunctionSpec
from bentofn.packager.containerize.image import make_image
from bentofn.packager.lambda_.parts import LambdaPackage

pytestmark = pytest.mark.skipif(
    oci_registry.BINARY is None, reason="docker-registry is not installed"
)


@pytest.fixture
def registry(tmp_path: Path, aws: Aws) -> Iterator[str]:
    with oci_registry.running(tmp_path, login=True) as address:
        aws.registry = address
        yield address


def deploy(aws: Aws, revision: str) -> Deployed:
    config = {"architecture": "amd64", "os": "linux", "config": {"Labels": {"r": revision}}}
    image = make_image(config, (), "linux/amd64", {}, {})
    package = LambdaPackage("Image", "", "python3.12", "x86_64", image=image)
    spec = FunctionSpec("Greeter", f"greeter:{revision}", FunctionSettings())
    session = Session(aws.chain(), None, lambda _: None)
    names = names_of(session, spec)
    wanted = desire(spec, names, (spec.bento, f"sha256:{revision}"), package, {})
    live = read_live(session, names, kind="Image")
    intent = Intent(session, wanted, live)
    assert list(missing(session, wanted, intent.steps)) == []
    return apply(intent, lambda _: None, wait=True)


def test_an_image_is_pushed_and_named_by_its_digest(registry: str, aws: Aws) -> None:
    aws.forbidden = ()
    assert deploy(aws, "1").version == 1
    asked = {each for call in aws.of("iam.SimulatePrincipalPolicy") for each in call["ActionNames"]}
    begun = len(aws.names) - aws.names[::-1].index("iam.SimulatePrincipalPolicy")
    made = aws.names[begun : aws.names.index("lambda.CreateFunctionUrlConfig") + 1]
    assert "ecr.GetAuthorizationToken" in made
    assert {action_of(*name.split(".")) for name in made} <= asked
    [created] = aws.of("lambda.CreateFunction")
    uri = created["Code"]["ImageUri"]
    repository, _, digest = uri.partition("@")
    name = repository.partition("/")[2]
    assert name.startswith("bentofn/greeter-")  # ECR takes no capitals
    assert (created["PackageType"], "Runtime" in created) == ("Image", False)
    request = urllib.request.Request(f"http://{registry}/v2/{name}/manifests/{digest}")
    request.add_header("Authorization", "Basic bWU6c2VjcmV0")
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert opener.open(request).headers["Docker-Content-Digest"] == digest

    aws.calls.clear()
    assert not deploy(aws, "1").changed
    assert aws.writes == []
    assert deploy(aws, "2").version == 2
    assert "lambda.UpdateFunctionCode" in aws.names
    assert "ecr.CreateRepository" not in aws.names

    session = Session(aws.chain(), None, lambda _: None)
    destroy(session, names_of(session, FunctionSpec("Greeter", "greeter:1")))
    assert aws.names[-1] == "iam.DeleteRole"
    assert "ecr.DeleteRepository" in aws.names
