"""The platform's client, for the command line: only the standard library, to start fast."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any

from bentofn.adapters.lambda_answer import as_answered
from bentofn.adapters.local.daemon import Endpoint
from bentofn.adapters.protocol import (
    Deployed,
    FunctionSpec,
    FunctionStatus,
    Progress,
    Reply,
)
from bentofn.runtime.errors import UserError

_CHUNK = 1 << 16
_SECONDS = 60.0
"""For an answer that takes no work; a busy machine may need some."""


class Client:
    """Talks to a platform that runs.

    Args:
        endpoint: Where, and the token.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def apply(
        self,
        spec: FunctionSpec,
        progress: Progress,
        *,
        wait: bool,
        secrets: Mapping[str, str],
    ) -> Deployed:
        """See ``Adapter.apply``; the platform is told the values of secrets, and keeps them in
        memory only."""
        asked = {"spec": spec.to_json(), "wait": wait, "secrets": secrets}
        body = json.dumps(asked).encode()
        return self._deployment("apply", body, progress)

    def activate(
        self, name: str, version: int, progress: Progress, *, secrets: Mapping[str, str]
    ) -> Deployed:
        """Make a version that was deployed before live again."""
        body = json.dumps({"version": version, "secrets": secrets}).encode()
        return self._deployment(f"activate/{name}", body, progress)

    def changed_secrets(self, name: str, secrets: Mapping[str, str]) -> list[str]:
        """The secrets of a function whose values are others than those that its instances get."""
        body = json.dumps({"secrets": secrets}).encode()
        found: list[str] = self._asked("POST", f"secrets/{name}", body)["changed"]
        return found

    def _deployment(self, path: str, body: bytes, progress: Progress) -> Deployed:
        response = self._control("POST", path, body)
        for line in iter(response.readline, b""):
            message = json.loads(line)
            if "progress" in message:
                progress(message["progress"])
            elif "error" in message:
                raise UserError(message["error"])
            else:
                return Deployed(**message["deployed"])
        raise UserError("The local platform ended during the deployment; deploy again.")

    def status(self) -> list[FunctionStatus]:
        """All functions."""
        return [FunctionStatus.from_json(raw) for raw in self._asked("GET", "status")["functions"]]

    def zygotes(self) -> list[dict[str, Any]]:
        """The zygotes: ``pid``, ``packages``, ``instances`` and ``memory`` in bytes."""
        found: list[dict[str, Any]] = self._asked("GET", "status").get("zygotes", [])
        return found

    def gpus(self) -> dict[str, Any]:
        """What functions have of GPUs: :class:`bentofn.adapters.local.gpu.memory.GpuMemory`."""
        found: dict[str, Any] = self._asked("GET", "status").get("gpus", {})
        return found

    def now(self) -> float:
        """The platform's time, in seconds since the epoch."""
        return float(self._asked("GET", "status")["now"])

    def tick(self, seconds: float) -> float:
        """Move the platform's time ahead, and wait for what that brings about.

        Returns:
            Its time after that, in seconds since the epoch.
        """
        body = json.dumps({"seconds": seconds}).encode()
        return float(json.loads(self._control("POST", "tick", body).read())["now"])

    def testing(self, action: str, **asked: Any) -> dict[str, Any]:
        """Ask a platform that was started for tests; see
        :class:`bentofn.adapters.local.testing.control.TestingControl`."""
        response = self._control("POST", f"testing/{action}", json.dumps(asked).encode())
        answer: dict[str, Any] = json.loads(response.read())
        return answer

    def destroy(self, name: str) -> None:
        """See ``Adapter.destroy``."""
        self._control("DELETE", f"functions/{name}").read()

    def invoke(self, name: str, route: str, body: bytes) -> Reply:
        """Send a JSON body to a function's route."""
        headers = {"Content-Type": "application/json"}
        response = self._send("POST", f"/{name}{route}", body, headers)
        names = {key.lower(): value for key, value in response.getheaders()}
        return Reply(response.status, names, _chunks(response))

    def invoke_lambda(self, name: str, event: bytes) -> Reply:
        """Have Lambda's API invoke a function; its own error is a 502, as of its URL."""
        path = f"/2015-03-31/functions/{name}/invocations"
        response = self._send("POST", path, event, {"Content-Type": "application/json"})
        names = {key.lower(): value for key, value in response.getheaders()}
        status = 502 if "x-amz-function-error" in names else response.status
        if status != 200:
            return Reply(status, names, _chunks(response))
        names.pop("content-length", None)
        names["content-type"], body = as_answered(b"".join(_chunks(response)))
        return Reply(200, names, iter([body]))

    def _asked(self, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
        """The document that answers what the platform knows without doing anything."""
        answer: dict[str, Any] = json.loads(self._control(method, path, body, _SECONDS).read())
        return answer

    def _control(
        self, method: str, path: str, body: bytes = b"", timeout: float | None = None
    ) -> http.client.HTTPResponse:
        headers = {"Authorization": f"Bearer {self._endpoint.token}"}
        response = self._send(method, f"/_bentofn/{path}", body, headers, timeout)
        if response.status != 200:
            raise UserError(_sentence(response))
        return response

    def _send(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: dict[str, Any],
        timeout: float | None = None,
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self._endpoint.port, timeout)
        try:
            connection.request(method, path, body, {**headers, "Connection": "close"})
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise UserError(
                f"The local platform at {self._endpoint.url} does not answer ({error}); "
                "restart it with: bentofn emulator stop; bentofn emulator start."
            ) from error


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    with response:
        try:
            while chunk := response.read1(_CHUNK):
                yield chunk
        except (OSError, http.client.HTTPException) as error:
            raise UserError("The answer broke off before its end.") from error


def _sentence(response: http.client.HTTPResponse) -> str:
    try:
        return str(json.loads(response.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"The local platform answered with status {response.status}."
