"""How a schedule calls its function: a request to the platform's own front door.

An endpoint of a service gets a POST. A function that is deployed as a Lambda is invoked
asynchronously, as EventBridge does it: once Lambda has the event, its own rules retry it.
"""

from __future__ import annotations

import aiohttp

from bentofn.adapters.local.core.schedules.messages import Run
from bentofn.adapters.local.schedules.documents import (
    execution_id,
    lambda_event,
    request_body,
)
from bentofn.adapters.local.schedules.keeper import CallFailed
from bentofn.adapters.schedule import Schedule
from bentofn.runtime.manifest import ServiceContract

RETRIED = frozenset({401, 407, 408, 409, 429})
"""Statuses below 500 after which a call is tried again, as EventBridge does with API destinations.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
"""

EXECUTION = "X-Bentofn-Execution"
SCHEDULE = "X-Bentofn-Schedule"
ATTEMPT = "X-Bentofn-Attempt"

_SHOWN = 200
"""Bytes of an answer that a log line repeats."""


class Caller:
    """Calls functions for their schedules.

    Args:
        address: Where the platform answers, without a slash at its end.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._session: aiohttp.ClientSession | None = None

    async def invoke(self, function: str, schedule: Schedule, run: Run) -> None:
        """Have Lambda take the event.

        Raises:
            CallFailed: It did not.
        """
        path = f"/2015-03-31/functions/{function}/invocations"
        headers = {"X-Amz-Invocation-Type": "Event"}
        await self._post(path, headers, lambda_event(function, schedule, run))

    async def ask(
        self, function: str, contract: ServiceContract, schedule: Schedule, run: Run
    ) -> None:
        """Ask an endpoint, and wait for its whole answer.

        Raises:
            CallFailed: There is no such endpoint, or it answered with an error.
        """
        headers = {
            SCHEDULE: schedule.name,
            EXECUTION: execution_id(function, run),
            ATTEMPT: str(run.attempt),
        }
        path = f"/{function}{route_of(contract, schedule)}"
        await self._post(path, headers, request_body(function, schedule, run))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _post(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        headers = {"Content-Type": "application/json", **headers}
        url = self._address + path
        try:
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = bytearray()
                async for chunk in response.content.iter_any():
                    answer += chunk[: _SHOWN - len(answer)]
        except aiohttp.ClientError as error:
            raise CallFailed(f"it broke off: {error or type(error).__name__}") from error
        if response.status >= 400:
            said = answer.decode(errors="replace").strip()
            lasting = response.status < 500 and response.status not in RETRIED
            raise CallFailed(f"it answered {response.status}: {said}", lasting=lasting)


def route_of(contract: ServiceContract, schedule: Schedule) -> str:
    """The path that a schedule calls below its function's.

    Args:
        contract: The function's service.
        schedule: It.

    Raises:
        CallFailed: It does not say which of several endpoints, or one that there is not.
    """
    apis = {api.name: api for api in contract.apis}
    if schedule.api is None and len(apis) == 1:
        api = next(iter(apis.values()))
    elif schedule.api is not None and schedule.api in apis:
        api = apis[schedule.api]
    else:
        asked = f"there is no endpoint {schedule.api!r}" if schedule.api else "it names no endpoint"
        raise CallFailed(
            f"{asked}; set custom.bentofn.functions.NAME.schedules.{schedule.name}.api to one of: "
            f"{', '.join(apis) or '(the service has none)'}",
            lasting=True,
        )
    path = contract.path_prefix + api.route
    return f"{path.rstrip('/')}/submit" if api.is_task else path
