"""What Lambda knows of a function, and the environment variables that come of it.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html and
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from bentofn.runtime.errors import UserError

ACCOUNT = "000000000000"
REGION = "us-east-1"
"""Where a function is said to be that names no region."""

RESERVED = frozenset(
    "_HANDLER _X_AMZN_TRACE_ID AWS_EXECUTION_ENV AWS_LAMBDA_FUNCTION_MEMORY_SIZE "  # noqa: SIM905
    "AWS_LAMBDA_FUNCTION_NAME AWS_LAMBDA_FUNCTION_VERSION AWS_LAMBDA_INITIALIZATION_TYPE "
    "AWS_LAMBDA_LOG_GROUP_NAME AWS_LAMBDA_LOG_STREAM_NAME AWS_LAMBDA_MAX_CONCURRENCY "
    "AWS_LAMBDA_RUNTIME_API LAMBDA_RUNTIME_DIR LAMBDA_TASK_ROOT".split()
)
"""Variables that no function is created with. Lambda reserves the region's and the credentials'
too; here they may be given, as there is no role that they could come from."""


@dataclass(frozen=True)
class Configuration:
    """A version of a function.

    Args:
        name: Its name.
        handler: ``module.function``.
        python: Its Python, such as ``3.12``.
        version: ``$LATEST`` or a number.
        memory: MiB.
        scratch: MiB of ``/tmp``, beside which it can write no file; 0 leaves files as they are.
        timeout: Seconds that an invocation may take.
        variables: Its own environment variables. Never printed.
        snap_start: Whether its environments are restored from a snapshot.
        workers: Invocations that run at a time in one environment: more than one on managed
            instances only.
    """

    name: str
    handler: str
    python: str
    version: str = "$LATEST"
    memory: int = 128
    scratch: int = 0
    timeout: float = 3.0
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    snap_start: bool = False
    workers: int = 1

    @property
    def region(self) -> str:
        """The region that it is said to be in."""
        given = self.variables
        return given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION") or REGION

    @property
    def arn(self) -> str:
        """Its ARN, without a version."""
        return f"arn:aws:lambda:{self.region}:{ACCOUNT}:function:{self.name}"

    @property
    def runtime_version(self) -> str:
        """What the first line of an environment's log says."""
        return f"python:{self.python}"

    def new_log_stream(self) -> str:
        """A name for the log of one more environment."""
        return f"{datetime.now(timezone.utc):%Y/%m/%d}/[{self.version}]{os.urandom(16).hex()}"

    def check(self) -> None:
        """Refuse what CreateFunction refuses.

        Raises:
            UserError: A variable is reserved.
        """
        reserved = sorted(self.variables.keys() & RESERVED)
        if reserved:
            raise UserError(
                "Lambda was unable to configure your environment variables because the environment "
                f"variables of {self.name} contain reserved keys: {', '.join(reserved)}; take them "
                "out of its environment."
            )

    def environment(self, task_root: Path, runtime_dir: Path) -> dict[str, str]:
        """The environment of its runtimes, but for what each has of its own.

        Args:
            task_root: Where its code is.
            runtime_dir: Where the runtime interface client is.
        """
        several = {"AWS_LAMBDA_MAX_CONCURRENCY": str(self.workers)} if self.workers > 1 else {}
        return {
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_DEFAULT_REGION": self.region,
            **self.variables,
            "_HANDLER": self.handler,
            "AWS_REGION": self.region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{self.python}",
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": self.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if self.snap_start else "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self.name}",
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "LAMBDA_TASK_ROOT": str(task_root),
            "LAMBDA_RUNTIME_DIR": str(runtime_dir),
            "PYTHONDONTWRITEBYTECODE": "1",
            **several,
        }
