"""moto's server as AWS, and small bentos to deploy to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aws_cloud import Aws, running_aws

from bentofn.adapters.aws_lambda.adapter import AwsLambdaAdapter
from bentofn.adapters.protocol import Deployed, FunctionSettings, FunctionSpec
from bentofn.packager.build import build
from bentofn.packager.build_inputs import BuildOptions
from bentofn.packager.home import Home

GREETER = """\
import bentofn


@bentofn.service(name="greeter")
class Greeter:
    @bentofn.api
    def greet(self, name: str = "nobody") -> str:
        return f"Hello, {name}!"
"""

Spec = Callable[..., FunctionSpec]
Apply = Callable[..., Deployed]


@pytest.fixture(scope="session")
def lambda_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with ``greeter:1``, and ``greeter:2`` of other code."""
    folder = tmp_path_factory.mktemp("lambda")
    home = Home(folder / "home")
    for version, source in (("1", GREETER), ("2", GREETER.replace("Hello", "Good day"))):
        project = folder / version
        project.mkdir()
        (project / "service.py").write_text(source)
        (project / "bentofile.yaml").write_text("service: service:Greeter\n")
        build(project, home, BuildOptions(version=version), lambda _: None)
    return home


@pytest.fixture(scope="session")
def server() -> Iterator[Aws]:
    """The server, with whatever the tests before left."""
    with running_aws() as running:
        yield running


@pytest.fixture
def aws(server: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """An account with nothing in it, that the variables of this process lead to."""
    import botocore.endpoint

    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    hurried = SimpleNamespace(sleep=lambda _: None, time=time.time)
    monkeypatch.setattr(botocore.endpoint, "time", hurried)
    server.forget()
    return server


@pytest.fixture
def adapter(lambda_home: Home, aws: Aws) -> AwsLambdaAdapter:
    """The adapter, on that home and that account."""
    return AwsLambdaAdapter(lambda_home, aws.chain(), lambda _: None)


@pytest.fixture
def spec() -> Spec:
    """Makes the spec of a function that is called as its bento is."""

    def make(bento: str = "greeter:1", **settings: Any) -> FunctionSpec:
        return FunctionSpec(bento.partition(":")[0], bento, FunctionSettings(**settings))

    return make


@pytest.fixture
def deploy(adapter: AwsLambdaAdapter, spec: Spec) -> Apply:
    """Deploys a bento with settings."""

    def apply(bento: str = "greeter:1", **settings: Any) -> Deployed:
        return adapter.apply(spec(bento, **settings), lambda _: None)

    return apply
