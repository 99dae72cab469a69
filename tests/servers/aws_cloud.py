"""An AWS of the tests' own: moto's server, what it drops added, and its wire to listen to."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session
from moto.awslambda.models import LambdaFunction, LambdaStorage
from moto.backends import get_backend
from moto.core.common_models import BaseModel
from moto.server import ThreadedMotoServer

from bentofn._testing.world import Failing, InterruptedWorld

REGION = "eu-central-1"
ACCOUNT = "123456789012"
SLOW = "slow"
"""A failure besides the suite's: AWS does it, and its answer comes too late, once."""

_READS = ("Get", "List", "Describe", "Head", "Filter", "Invoke", "Simulate")
_XML = ("iam", "s3", "sts")
_SERVICES = ("lambda", "iam", "s3", "logs", "scheduler", "ecr", "ssm", "secretsmanager",
             "sqs")  # fmt: skip
_KEPT = ("SnapStart", "LoggingConfig", "DeadLetterConfig", "FileSystemConfigs")
"""Members of a function's configuration that moto drops."""


@dataclass
class Call:
    """A call as it went over the wire.

    Args:
        name: ``lambda.CreateFunction``.
        arguments: What it was given.
        number: Which it is of those that came since a failure was arranged, from 0.
    """

    name: str
    arguments: Mapping[str, Any] = field(repr=False)
    number: int = -1

    @property
    def is_write(self) -> bool:
        """Whether it may change something."""
        return not self.name.partition(".")[2].startswith(_READS)


@dataclass
class _Arranged:
    call: int
    failure: str
    found: Failing
    made: int = 0


@dataclass
class Aws:
    """The server.

    Args:
        address: Its address.
        calls: All calls that came, the latest last.
        refusals: Call to the error that it is answered with, once for each entry: code, status,
            message.
    """

    address: str
    calls: list[Call] = field(default_factory=list)
    refusals: dict[str, list[tuple[str, int, str]]] = field(default_factory=dict)
    forbidden: tuple[str, ...] | None = None
    """Actions that IAM's simulation denies; None where it may not be asked."""
    conditions: tuple[str, ...] = ()
    """Keys of the policies' conditions, which the simulation is not told."""
    pending: int = 0
    """How often a version is said to be not ready yet."""
    inactive: bool = False
    """Whether versions are said to have had no request for long, until they are invoked."""
    failed: str = ""
    """Why versions cannot be prepared."""
    registry: str = ""
    """Address of a registry in ECR's place, whose user is ``me`` with the password ``secret``."""
    reply: tuple[bytes, str] = (b"{}", "")
    """What functions answer, and which kind of error that is."""
    _provisioned: int | None = None
    _arranged: _Arranged | None = None
    _is_cut: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _current: threading.local = field(default_factory=threading.local)

    def chain(self) -> Any:
        """A chain of credentials whose calls are listened to."""
        found = botocore.session.Session()
        found.register("provide-client-params.*.*", self._note)
        found.register("before-send.*.*", self._before_send)
        return _Cached(found)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead to it."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def names(self) -> list[str]:
        """The names of all calls."""
        return [call.name for call in self.calls]

    @property
    def writes(self) -> list[str]:
        """The names of the calls that may have changed something."""
        return [call.name for call in self.calls if call.is_write]

    def of(self, name: str) -> list[Mapping[str, Any]]:
        """The arguments of the calls of one name."""
        return [call.arguments for call in self.calls if call.name == name]

    @contextlib.contextmanager
    def failing(self, call: int, failure: str) -> Iterator[Failing]:
        """As :meth:`bentofn._testing.world.World.failing`; the calls before are forgotten."""
        self.calls.clear()  # with the megabytes that they sent
        found = Failing()
        self._arranged = _Arranged(call, failure, found)
        try:
            yield found
        finally:
            self._arranged, self._is_cut = None, False

    def forget(self) -> None:
        """Have nothing be there."""
        for service in _SERVICES:
            for regions in get_backend(service).values():
                for backend in regions.values():
                    backend.reset()
        self.calls.clear()
        self.refusals.clear()
        self.forbidden, self.conditions = None, ()
        self.pending, self.failed, self._provisioned = 0, "", None
        self.inactive = False

    def _note(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        if self._is_cut:
            raise InterruptedWorld
        call = Call(f"{model.service_model.service_name}.{model.name}", dict(params))
        with self._lock:
            if self._arranged is not None:
                call.number = self._arranged.made
                self._arranged.made += 1
            self.calls.append(call)
        self._current.call = call

    def _added(self, name: str, url: str) -> AWSResponse | None:
        """What moto does not have."""
        if name == "iam.SimulatePrincipalPolicy":
            return self._simulated(url)
        if name.endswith("ProvisionedConcurrencyConfig"):
            return self._concurrency(name, url)
        if name == "lambda.Invoke" and self.inactive:
            self.inactive, self.pending = False, 1
            return _refusal(url, name, "SnapStartNotReadyException", 409, "It is being prepared.")
        if name == "lambda.Invoke":
            content, error = self.reply
            headers = {"X-Amz-Executed-Version": "1", "Content-Length": str(len(content))}
            if error:
                headers["X-Amz-Function-Error"] = error
            return AWSResponse(url, 200, headers, _Body(content))
        if name == "ecr.GetAuthorizationToken":
            login = {"authorizationToken": base64.b64encode(b"me:secret").decode()}
            where = {"proxyEndpoint": f"http://{self.registry}"}
            return _json_answer(url, {"authorizationData": [{**login, **where}]})
        arguments = self._current.call.arguments
        if name != "lambda.GetFunctionConfiguration" or "Qualifier" not in arguments:
            return None
        if self.inactive:
            told = {"FunctionName": arguments["FunctionName"], "Version": arguments["Qualifier"]}
            return _json_answer(url, {**told, "State": "Inactive"})
        if self.pending:
            self.pending -= 1
            told = {"FunctionName": arguments["FunctionName"], "Version": arguments["Qualifier"]}
            return _json_answer(url, {**told, "State": "Pending"})
        if self.failed:
            told = {"FunctionName": arguments["FunctionName"], "Version": arguments["Qualifier"]}
            state = {"State": "Failed", "StateReason": self.failed}
            return _json_answer(url, {**told, **state})
        return None

    def _concurrency(self, name: str, url: str) -> AWSResponse:
        """Of one function, and ready at once."""
        arguments = self._current.call.arguments
        if name.startswith("lambda.Put"):
            self._provisioned = arguments["ProvisionedConcurrentExecutions"]
        if name.startswith("lambda.Delete"):
            self._provisioned = None
            return AWSResponse(url, 204, {}, _Body(b""))
        if self._provisioned is None:
            code = "ProvisionedConcurrencyConfigNotFoundException"
            return _refusal(url, name, code, 404, "There is none.")
        requested = {"RequestedProvisionedConcurrentExecutions": self._provisioned}
        return _json_answer(url, {**requested, "Status": "READY"})

    def _simulated(self, url: str) -> AWSResponse:
        call = self._current.call
        if self.forbidden is None:
            return _refusal(url, call.name, "AccessDenied", 403, "Not yours.")
        text = _simulation(call.arguments, self.forbidden, self.conditions)
        return AWSResponse(url, 200, {}, _Body(text.encode()))

    def _before_send(self, request: Any, **_: Any) -> AWSResponse | None:
        name = self._current.call.name
        if self.refusals.get(name):
            return _refusal(request.url, name, *self.refusals[name].pop(0))
        return self._failure(name, request) or self._added(name, request.url)

    def _failure(self, name: str, request: Any) -> AWSResponse | None:
        """What was arranged for this call."""
        arranged = self._arranged
        if arranged is None or self._current.call.number != arranged.call:
            return None
        if arranged.found.call and arranged.failure in ("throttled", SLOW):
            return None  # once
        arranged.found.call = name
        if arranged.failure in ("cut", "lost"):
            if arranged.failure == "lost":
                URLLib3Session().send(request)
            self._is_cut = True
            raise InterruptedWorld
        if arranged.failure == SLOW:
            URLLib3Session().send(request)
            raise ReadTimeoutError(endpoint_url=request.url)
        if arranged.failure == "denied":
            return _refusal(request.url, name, "AccessDeniedException", 403, "Not yours.")
        return _refusal(request.url, name, "ThrottlingException", 429, "Rate exceeded")


def _simulation(
    asked: Mapping[str, Any], forbidden: tuple[str, ...], conditions: tuple[str, ...]
) -> str:
    """The answer of IAM's simulation, which moto does not have."""
    [resource] = asked["ResourceArns"]
    keys = "".join(f"<member>{each}</member>" for each in conditions)
    decisions = {
        each: "implicitDeny" if each in forbidden else "allowed" for each in asked["ActionNames"]
    }
    members = "".join(
        f"<member><EvalActionName>{each}</EvalActionName><EvalDecision>{decision}</EvalDecision>"
        f"<ResourceSpecificResults><member><EvalResourceName>{resource}</EvalResourceName>"
        f"<EvalResourceDecision>{decision}</EvalResourceDecision>"
        f"<MissingContextValues>{keys}</MissingContextValues></member></ResourceSpecificResults>"
        "</member>"
        for each, decision in decisions.items()
    )
    return (
        "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults>"
        f"{members}</EvaluationResults></SimulatePrincipalPolicyResult>"
        "</SimulatePrincipalPolicyResponse>"
    )


def _json_answer(url: str, content: Mapping[str, Any]) -> AWSResponse:
    return AWSResponse(url, 200, {}, _Body(json.dumps(content).encode()))


class _Cached:
    """A chain that makes each client once: making one takes longer than all of its calls."""

    def __init__(self, chain: botocore.session.Session) -> None:
        self._chain = chain
        self._clients: dict[str, Any] = {}

    def create_client(self, service: str, region: str, **more: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = self._chain.create_client(service, region, **more)
        return self._clients[service]

    def get_config_variable(self, name: str) -> Any:
        return self._chain.get_config_variable(name)


class _Body:
    """A body, as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._content

    def read(self, *_: Any) -> bytes:
        content, self._content = self._content, b""
        return content


def _refusal(url: str, call: str, code: str, status: int, message: str) -> AWSResponse:
    service = call.partition(".")[0]
    text = json.dumps({"__type": code, "message": message, "Message": message})
    if service in _XML:
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        text = error if service == "s3" else f"<ErrorResponse>{error}</ErrorResponse>"
    return AWSResponse(url, status, {"x-amzn-ErrorType": code}, _Body(text.encode()))


@contextlib.contextmanager
def running_aws() -> Iterator[Aws]:
    """The server, on a free port of this machine."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # it logs every request
    with _keeping_configuration(), _letting_go():
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield Aws(f"http://{host}:{port}")
        finally:
            server.stop()


@contextlib.contextmanager
def _letting_go() -> Iterator[None]:
    """Have moto keep nothing that was deleted: it lists all that it ever made, with its content."""

    def new(cls: type, *_: Any, **__: Any) -> Any:
        return object.__new__(cls)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseModel, "__new__", new)
        yield


@contextlib.contextmanager
def _keeping_configuration() -> Iterator[None]:
    """Have functions keep what moto drops."""
    made, updated, told = (
        LambdaFunction.__init__,
        LambdaFunction.update_configuration,
        LambdaFunction.get_configuration,
    )

    def init(self: Any, account_id: str, spec: dict[str, Any], *args: Any, **more: Any) -> None:
        self.kept = {key: spec[key] for key in _KEPT if key in spec}
        made(self, account_id, spec, *args, **more)

    def update(self: Any, spec: dict[str, Any]) -> Any:
        self.kept = {**self.kept, **{key: spec[key] for key in _KEPT if key in spec}}
        return updated(self, spec)

    def tell(self: Any, on_create: bool = False) -> dict[str, Any]:
        found = {**told(self, on_create), **self.kept}
        if "ImageUri" in self.code:
            found["CodeSha256"] = self.code["ImageUri"].rpartition("sha256:")[2]
        return found

    def publish(self: Any, name: str, description: str = "") -> Any:
        function = self.get_function_by_name_or_arn_forbid_qualifier(name)
        versions = self._functions[function.function_name]["versions"]
        if versions and not function.code_or_config_updated:
            return versions[-1]
        function.code_or_config_updated = False
        # moto counts the versions that are left, so that numbers come again.
        function.highest = getattr(function, "highest", 0) + 1
        version = copy.copy(function)
        version.set_version(function.highest)
        version.description = description or function.description
        versions.append(version)
        self._arns[version.function_arn] = version
        return version

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LambdaFunction, "__init__", init)
        patch.setattr(LambdaFunction, "update_configuration", update)
        patch.setattr(LambdaFunction, "get_configuration", tell)
        patch.setattr(LambdaStorage, "publish_version", publish)
        yield
