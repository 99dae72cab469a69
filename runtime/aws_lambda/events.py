"""Which of a function's events is a request, a batch of records, or an endpoint's own JSON."""

from __future__ import annotations

from typing import Any

from mangum import Mangum
from mangum.protocols import HTTPCycle
from mangum.types import ASGI

from bentofn.runtime.aws_lambda.direct import direct_event
from bentofn.runtime.service import Service

BATCHES = ("aws:sqs", "aws:kinesis", "aws:dynamodb")
"""Sources whose records are answered one by one. Source:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html"""


class Events:
    """What Lambda calls with each event.

    Args:
        service: The service.
        app: Its application.
    """

    def __init__(self, service: Service[Any], app: ASGI) -> None:
        self._app = app
        self._direct = direct_event(service)
        self._requests = Mangum(
            app,
            lifespan="off",  # it lasts longer than an invocation
            custom_handlers=[self._direct],
        )

    def __call__(self, event: Any, context: Any) -> Any:
        """Answer an event.

        Raises:
            Exception: What becomes the function's error.
        """
        if not is_batch(event):
            return self._requests(event, context)
        from bentofn.runtime.aws_lambda.batches import answer_batch  # 0.1 s that few functions need

        return answer_batch(event, context, lambda record: self._ask(record, context))

    async def _ask(self, event: Any, context: Any) -> Any:
        """Ask an endpoint, as a direct invocation does."""
        direct = self._direct(event, context, None)
        cycle = HTTPCycle(direct.scope, direct.body)
        await cycle.run(self._app)
        return direct({"status": cycle.status, "headers": cycle.headers, "body": cycle.body})


def is_batch(event: Any) -> bool:
    """Whether an event holds the records of a queue or a stream."""
    records = event.get("Records") if isinstance(event, dict) else None
    first = records[0] if isinstance(records, list) and records else None
    return isinstance(first, dict) and first.get("eventSource") in BATCHES
