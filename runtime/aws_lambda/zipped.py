"""A bento that lies in a Lambda function's zip and layers, and is not yet on the import path."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from bentofn.runtime import boot

if TYPE_CHECKING:
    from bentofn.runtime.aws_lambda.observed import Handler

LAYERED = "/opt/bento"
"""Where Lambda unpacks the layers of a bento."""

LIBRARIES = "lambda"
"""Where Mangum, Powertools and, in an image, awslambdaric stand in a bento's root."""


def start(function: str) -> Handler:
    """Start the service of the bento; gives what Lambda calls.

    Args:
        function: Where Lambda has unpacked the function, with ``bento.json`` and ``src``.

    Raises:
        UserError: Its service cannot be served.
        Exception: Whatever the service's own constructor raises.
    """
    root = os.environ.setdefault("BENTOFN_ROOT", LAYERED)
    os.environ.setdefault("BENTOFN_CODE", function)
    source = f"{function}/src"
    here = {"source": source, "runtime": f"{root}/runtime", "env": f"{root}/env"}
    sys.path[:] = [each for each in sys.path if each != here["runtime"]]
    boot.set_import_path(here)
    sys.path.append(f"{root}/{LIBRARIES}")
    if os.path.exists(f"{function}/fetched.json"):  # noqa: PTH110 - pathlib costs a cold start
        from bentofn.runtime.aws_lambda.fetched import fetch

        fetch(function)
    os.chdir(source)
    from bentofn.runtime.aws_lambda import handler

    found: Handler = handler
    return found
