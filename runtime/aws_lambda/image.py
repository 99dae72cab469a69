"""The ``function`` process: Lambda's client in an image, asking the Runtime API for work."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping

from bentofn.runtime.aws_lambda.zipped import LIBRARIES

HANDLER = "bentofn.runtime.aws_lambda.handler"


def main(options: Mapping[str, str]) -> int:
    """Run the client until Lambda ends it.

    Args:
        options: ``root``, where the bento is, and awslambdaric with it.
    """
    sys.path.append(f"{options['root']}/{LIBRARIES}")
    sys.argv = ["awslambdaric", HANDLER]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
    return 0
