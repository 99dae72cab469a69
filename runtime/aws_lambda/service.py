"""A service that is started as Lambda starts functions, and called as Lambda calls them."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable

from mangum.types import Receive, Scope, Send

from bentofn.runtime import lifecycle, on_demand, renew, threads
from bentofn.runtime.aws_lambda.events import Events
from bentofn.runtime.aws_lambda.observed import Handler, observed
from bentofn.runtime.errors import UserError
from bentofn.runtime.hooks import run_after_restore
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.lifespan import Lifespan

MIB_PER_CPU = 1769
"""Memory with which a function has one CPU. Source:
https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""

REQUEST_ID = b"x-request-id"


def make_handler() -> Handler:
    """Start the service and give what Lambda calls.

    Under SnapStart it is started up to its snapshot point, and what each environment must have of
    its own follows the restore. On demand, an environment is started because an event waits, and
    the examples would only make it wait longer.

    Raises:
        UserError: There is no bento, or its service cannot be served.
        Exception: Whatever the service's own constructor raises.
    """
    root = BentoRoot.current()
    if root is None:
        raise UserError("BENTOFN_ROOT does not say where the bento is.")
    # Powertools takes an environment without it for a test.
    os.environ.setdefault("LAMBDA_TASK_ROOT", str(root.source))
    cpus = _cpus()
    threads.allow(os.environ, cpus)
    how = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE")
    if how == "on-demand":
        on_demand.declare(os.environ)
    options = {"service": lifecycle.target_of(root), "source": str(root.source)}
    prepared = lifecycle.prepare(options, warm=how != "on-demand")
    lifecycle.settle()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    lifespan = Lifespan(prepared.served)

    def go_on() -> None:
        run_after_restore(prepared.instance, registered=False)
        loop.run_until_complete(lifespan.startup())

    if how == "snap-start":
        importlib.import_module("bentofn.runtime.aws_lambda.batches")  # not at the first batch
        _after_restore(renew.find(prepared.instance), go_on)
    else:
        run_after_restore(prepared.instance)
        loop.run_until_complete(lifespan.startup())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """The service, which goes by the invocation's id unless the caller gave the request one."""
        if not any(name == REQUEST_ID for name, _ in scope["headers"]):
            own = str(scope["aws.context"].aws_request_id).encode()
            scope["headers"] = [*scope["headers"], (REQUEST_ID, own)]
        await prepared.served(scope, receive, send)

    return observed(Events(prepared.service, app), prepared.service.name)


def _after_restore(renewals: list[renew.Renewal], go_on: Callable[[], None]) -> None:
    """Have Lambda's client renew this process and go on with it once it is restored.

    What was registered with ``snapshot_restore_py`` for before the snapshot has run when the
    service was prepared; what is to follow the restore is left to the client.
    """
    import snapshot_restore_py as registry

    registry.get_before_snapshot().clear()
    registry.get_after_restore().insert(0, (renew.renew, (renewals,), {}))
    registry.register_after_restore(go_on)


def _cpus() -> int:
    memory = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return max(1, round(int(memory) / MIB_PER_CPU)) if memory.isdecimal() else 1
