"""Batches of a queue or a stream: each record is a call, and what fails is tried again alone.

The mapping of the source to the function must have ``ReportBatchItemFailures``, or Lambda takes a
batch in which some records failed for one that did not.

A queue's records are answered together, so that the service joins them in its own batches; those of
a FIFO queue and of a stream one after the other, as they came.

Source: https://docs.powertools.aws.dev/lambda/python/latest/utilities/batch/
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    AsyncBatchProcessor,
    BatchProcessor,
    EventType,
    SqsFifoPartialProcessor,
    async_process_partial_response,
    process_partial_response,
)

Ask = Callable[[Any], Awaitable[Any]]

_STREAMS = {
    "aws:kinesis": EventType.KinesisDataStreams,
    "aws:dynamodb": EventType.DynamoDBStreams,
}
_FIFO = ".fifo"

logger = logging.getLogger("bentofn.batch")


def answer_batch(event: dict[str, Any], context: Any, ask: Ask) -> Any:
    """Answer a batch.

    Args:
        event: It, with at least one record.
        context: Lambda's.
        ask: Asks the service; what it raises is the record's failure.

    Returns:
        The records that failed, as Lambda wants them.

    Raises:
        BatchProcessingError: All did.
    """
    first = event["Records"][0]
    source = first["eventSource"]

    async def answer(record: Any) -> Any:
        return await ask(input_of(record, source))

    if source == "aws:sqs" and not str(first.get("eventSourceARN", "")).endswith(_FIFO):
        together = AsyncBatchProcessor(EventType.SQS, logger=logger)
        return async_process_partial_response(event, answer, together, context)

    def answer_alone(record: Any) -> Any:
        return asyncio.get_event_loop().run_until_complete(answer(record))

    in_order = (
        SqsFifoPartialProcessor(skip_group_on_error=True, logger=logger)
        if source == "aws:sqs"
        else BatchProcessor(_STREAMS[source], logger=logger)
    )
    return process_partial_response(event, answer_alone, in_order, context)


def input_of(record: Any, source: str) -> Any:
    """What an endpoint is given of a record, as plain JSON.

    Args:
        record: Powertools' record.
        source: Its ``eventSource``.

    Raises:
        ValueError: Its body is no JSON.
    """
    if source == "aws:sqs":
        return json.loads(record.body)
    if source == "aws:kinesis":
        return json.loads(base64.b64decode(record.kinesis.data))
    images = record.dynamodb
    change = {
        "event_name": record.event_name.name,
        "keys": images.keys,
        "new_image": images.new_image,
        "old_image": images.old_image,
    }
    return json.loads(json.dumps(change, default=_plain))


def _plain(value: Any) -> Any:
    """DynamoDB's types as JSON's."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return base64.b64encode(value).decode()
