"""An instance that stops serving, gives up its GPU, and goes on in the same process later.

It ends what no copy may share, as it would to be kept on disk, and waits at a socket. Meanwhile the
platform has the driver take its memory off the GPU (:mod:`bentofn.runtime.cuda.checkpoint`). What
comes through the socket says what it is next; until then it has not been alone with its memory, so
it is renewed as a restored process is.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from bentofn.runtime import current, instance, lifecycle, parking, stages
from bentofn.runtime.cuda import quiet
from bentofn.runtime.hooks import marked
from bentofn.runtime.obstacles import tasks
from bentofn.runtime.orders import Orders
from bentofn.runtime.original import make_copyable
from bentofn.runtime.protocol import RESTORE_FDS, Channel, Failed, Ready, Refused, Restore


@dataclass(frozen=True)
class Woken:
    """What an instance goes on as.

    Args:
        request: What it is told.
        listener: The socket to serve on.
        control: The platform.
        renewable: What it renews.
    """

    request: Restore
    listener: socket.socket
    control: Channel
    renewable: lifecycle.Renewable

    def renew(self) -> None:
        """Be an instance of its own again.

        Raises:
            UserError: An after-restore hook raised.
        """
        request = self.request
        lifecycle.restore(self.renewable, request.env, request.threads, _keep_privileges)


def sleep(orders: Orders, wire: Channel) -> Woken | None:
    """Sleep until it is needed.

    Args:
        orders: Which said so.
        wire: Where it is told that it is needed.

    Returns:
        None where it cannot sleep, or is not needed any more.
    """
    control, service = orders.control, current.get_current_service()
    try:
        lifecycle.end_before_copy(service)
        refusal = _why_not(service)
        if refusal is not None:
            control.send(Refused(refusal))
            return None
        quiet.settle()
        renewable = make_copyable(service)
    except Exception as error:
        control.send(Failed(lifecycle.explain(error)))
        return None
    held = quiet.on_device()
    if held is not None:
        control.send(held)
    control.send(Ready(os.getpid()))
    parking.leave(control)
    request = parking.asked(wire)
    if request is None:
        return None
    stages.begin(request.env)
    fds: Mapping[str, int] = wire.take_fds(RESTORE_FDS["instance"])
    wire.close()
    instance.redirect_output(fds)
    listener = instance.open_listener(fds["listen"])
    return Woken(request, listener, Channel(fds["control"]), renewable)


def _why_not(service: object) -> str | None:
    children = tasks.settled(tasks.children)
    if children:
        return (
            f"it runs the child process {children[0].name!r}, which would go on meanwhile; end it "
            "in a before_snapshot hook, or deploy it with snapshot: none"
        )
    if not marked(service, "on_shutdown"):
        return None
    if marked(service, "on_startup") or marked(service, "after_restore"):
        return None
    return (
        "its on_shutdown hook has run and nothing makes that good again: give it an on_startup or "
        "after_restore hook, or deploy it with snapshot: none"
    )


def _keep_privileges() -> None:
    """Those that are to go went when it was started."""
