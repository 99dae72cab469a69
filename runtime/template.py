"""A warmed service that answers nothing itself: it forks an instance whenever it is asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from bentofn.runtime import lifeline, original, threads
from bentofn.runtime.clones import Nursery
from bentofn.runtime.http.serving import ServerConfig
from bentofn.runtime.kept import start as kept
from bentofn.runtime.namespaces import Namespaces, isolate
from bentofn.runtime.obstacles.forks import why_not_fork
from bentofn.runtime.original import Original
from bentofn.runtime.protocol import Channel, Ready


def main(options: Mapping[str, str]) -> int:
    """The ``template`` process. Returns in the template, and once in every clone."""
    control = Channel(int(options["control-fd"]))
    lifeline.die_with_parent()
    # Not sealed: it takes privileges to keep its clones apart.
    isolate(Namespaces.find(), os.environ)
    threads.forbid(os.environ)
    prepared = original.prepare(options, control, why_not_fork)
    if prepared is None:
        return 1
    control.send(Ready(os.getpid()))
    return serve(prepared, control)


def serve(prepared: Original, control: Channel) -> int:
    """Be the template until the platform has gone; in a clone, live as that and return its status.

    Args:
        prepared: What its clones start from.
        control: The platform.
    """
    clone = Nursery(control).serve()
    if clone is None:
        kept.end()
        os._exit(0)
    request = clone.request

    def start(_: Channel, seal: Callable[[], None]) -> ServerConfig:
        return prepared.configure_copy(request.env, request.threads, seal)

    return clone.live(start)
