"""The lines that Lambda itself writes into a function's log.

Source: https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html and, for the fields that
tell a failure, https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html, and a
restore, https://docs.aws.amazon.com/lambda/latest/dg/snapstart-monitoring.html
"""

from __future__ import annotations

import math
import signal
from datetime import datetime, timezone

from bentofn.adapters.local.lambda_.invocation import InvocationResult
from bentofn.adapters.local.lambda_.runtime_api import error_payload

TIMED_OUT = "Sandbox.Timedout"
EXITED = "Runtime.ExitError"


def start(request_id: str, version: str) -> str:
    """The line that begins an invocation."""
    return f"START RequestId: {request_id} Version: {version}"


def end(request_id: str) -> str:
    """The line after an invocation's own."""
    return f"END RequestId: {request_id}"


def report(request_id: str, memory: int, result: InvocationResult, status: str) -> str:
    """The line that sums an invocation up.

    Args:
        request_id: Its id.
        memory: MiB that the function has.
        result: What became of it.
        status: ``error`` or ``timeout``; empty where all went well.
    """
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {result.duration_ms:.2f} ms",
        f"Billed Duration: {result.billed_ms} ms",
        f"Memory Size: {memory} MB",
        f"Max Memory Used: {result.max_memory_mb} MB",
    ]
    if result.init_ms is not None:
        fields.append(f"Init Duration: {result.init_ms:.2f} ms")
    if result.restore_ms is not None:
        fields.append(f"Restore Duration: {result.restore_ms:.2f} ms")
        fields.append(f"Billed Restore Duration: {billed(result.restore_ms)} ms")
    if status:
        fields.append(f"Status: {status}")
    if status == "error":
        fields.append(f"Error Type: {result.error_type}")
    return "\t".join(fields) + "\t"


def phase(kind: str, milliseconds: float, status: str, error_type: str = "") -> str:
    """The line about a start that failed, or about a restore.

    Args:
        kind: ``INIT`` or ``RESTORE``, and the phase in which it was.
        milliseconds: That it took.
        status: ``error`` or ``timeout``; empty where it went well.
        error_type: Of an error.
    """
    name, _, during = kind.partition(" ")
    fields = [f"{name}_REPORT {name.title()} Duration: {milliseconds:.2f} ms"]
    if during:
        fields.append(f"Phase: {during}")
    if status:
        fields.append(f"Status: {status}")
    if error_type:
        fields.append(f"Error Type: {error_type}")
    return "\t".join(fields)


def billed(*milliseconds: float | None) -> int:
    """What is paid for: all that ran, rounded up to a millisecond.

    The start is paid for too, since August 2025. So is all of a restore that there is here, the
    runtime and its hooks: AWS does not bill for reading the memory, which is not done. Source:
    https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/
    """
    return math.ceil(sum(each or 0.0 for each in milliseconds))


def timed_out(request_id: str, timeout: float) -> tuple[bytes, str]:
    """The error of an invocation that took too long, and the line about it."""
    what = f"Task timed out after {timeout:.2f} seconds"
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    payload = error_payload(TIMED_OUT, f"RequestId: {request_id} Error: {what}")
    return payload, f"{now}Z {request_id} {what}"


def exited(request_id: str, status: int | None, error_type: str = EXITED) -> tuple[bytes, str]:
    """The error of an invocation whose runtime ended under it, and the line about it.

    Args:
        request_id: Its id.
        status: The process's exit status, negative for a signal.
        error_type: What to call it.
    """
    message = f"RequestId: {request_id} Error: {how_it_exited(status)}"
    return error_payload(error_type, message), message


def how_it_exited(status: int | None) -> str:
    """How a runtime ended, in the words of Go's ``os/exec``, which RIE's are."""
    if not status:
        return "Runtime exited without providing a reason"
    if status > 0:
        return f"Runtime exited with error: exit status {status}"
    name = signal.strsignal(-status) or str(-status)
    return f"Runtime exited with error: signal: {name.lower()}"
