"""Where the records of asynchronous invocations go: to functions, or into files of the home.

What AWS puts into a queue, a topic, a bucket or a bus is here a line of a file,
``destinations/SERVICE-NAME.jsonl``; a failure without a destination is one of
``dead-letters/FUNCTION.jsonl``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from bentofn.adapters.local.lambda_.api.errors import invalid
from bentofn.adapters.local.lambda_.api.store import Parcel

_ARN = re.compile(r"arn:aws[a-zA-Z-]*:(sqs|sns|s3|events|lambda):[a-z0-9-]*:\d*:([^\s]{1,200})")
_STRANGE = re.compile(r"[^A-Za-z0-9._-]+")


def function_of(destination: str) -> str | None:
    """The ARN itself where it is a function's; None where it goes into a file."""
    found = _ARN.fullmatch(destination)
    return destination if found and found[1] == "lambda" else None


def check(destination: str) -> None:
    """Refuse what is no destination.

    Raises:
        LambdaError: It is not the ARN of a queue, topic, bucket, bus or function.
    """
    if not _ARN.fullmatch(destination):
        raise invalid(
            f"The provided destination config DestinationConfig is invalid: {destination} is not "
            "the ARN of an SQS queue, SNS topic, S3 bucket, EventBridge bus or Lambda function."
        )


def file_of(directory: Path, parcel: Parcel) -> Path:
    """The file that a record goes into.

    Args:
        directory: Where the files are.
        parcel: The record and where it goes.
    """
    found = _ARN.fullmatch(parcel.destination)
    if found is None:
        return directory / "dead-letters" / f"{parcel.function}.jsonl"
    name = _STRANGE.sub("-", found[2]).strip("-.")
    return directory / "destinations" / f"{found[1]}-{name}.jsonl"


def append(path: Path, record: str) -> None:
    """Write a record as a line, whole and on disk.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, record.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
