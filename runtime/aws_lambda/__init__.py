"""A bento as a Lambda function: its handler is ``bentofn.runtime.aws_lambda.handler``.

The service is started when the handler is looked up, which is in Lambda's INIT phase.
"""

from __future__ import annotations

import gc
from typing import Any


def __getattr__(name: str) -> Any:
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    gc.disable()  # as in bentofn.runtime.lifecycle.load, which is among what is imported here
    try:
        from bentofn.runtime.aws_lambda.service import make_handler
    finally:
        gc.enable()
    try:
        found = globals()["handler"] = make_handler()
    except AttributeError as error:
        # awslambdaric would take it for a handler that is not there.
        raise RuntimeError(f"AttributeError: {error}") from error
    return found
