"""How a schedule calls its function: a POST to one of its endpoints, through the platform."""

from __future__ import annotations

import aiohttp

from bentofn.adapters.local.core.schedules.messages import Run
from bentofn.adapters.local.schedules.documents import execution_id, request_body
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


async def call_endpoint(
    session: aiohttp.ClientSession,
    url: str,
    contract: ServiceContract,
    function: str,
    schedule: Schedule,
    run: Run,
) -> None:
    """Ask an endpoint of a function.

    Args:
        session: Of the platform.
        url: Where the function answers.
        contract: Its service.
        function: Its name.
        schedule: What is due.
        run: For when.

    Raises:
        CallFailed: It did not answer, or with an error.
    """
    headers = {
        "Content-Type": "application/json",
        SCHEDULE: schedule.name,
        EXECUTION: execution_id(function, run),
        ATTEMPT: str(run.attempt),
    }
    target = url + route_of(contract, schedule)
    body = request_body(function, schedule, run)
    try:
        async with session.post(target, data=body, headers=headers) as response:
            answer = await response.content.read(_SHOWN)
            async for _ in response.content.iter_any():
                pass  # a stream has run when it has ended
    except aiohttp.ClientError as error:
        raise CallFailed(f"it broke off: {error or type(error).__name__}") from error
    if response.status >= 400:
        said = answer.decode(errors="replace").strip()
        lasting = response.status < 500 and response.status not in RETRIED
        raise CallFailed(f"it answered {response.status}: {said}", lasting=lasting)
