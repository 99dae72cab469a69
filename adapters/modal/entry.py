"""The module that Modal's containers import: a class with Modal's decorators, written as text.

It is the same file here, where the app is made, and in the container, where Modal looks up the
class by its name. It imports Modal only; the bento's runtime is imported when a container starts.
"""

from __future__ import annotations

from dataclasses import dataclass

MODULE = "bentofn_function"
"""Name of the module."""

CLASS, WEB, TICK = "Function", "web", "tick"
"""Names in it: the service's class, the endpoint of a class that has none, a schedule's call."""

SCHEDULE = "BENTOFN_SCHEDULE"
"""Variable of a schedule's function: JSON with ``route`` and ``body``."""

_HEAD = '''"""The function {name}, as Modal runs it; written by bentofn."""

import json
import os
import sys

import modal

APP = {name!r}
ROOT = {root!r}


class {class_name}:
    """The service."""

'''

_CONSTRUCT = '''    @modal.enter(snap={snap})
    def construct(self):
        """Up to the snapshot: {what}."""
        sys.path.insert(0, ROOT + "/runtime")
        from bentofn.runtime.modal_class import Served

        self.served = Served(ROOT, {cpus})
{kept}'''

_KEPT = {
    "service": ("imported, constructed, warmed up", "        self.served.construct()\n"),
    "imports": (
        "what the service imports; its constructor needs the GPU",
        "        self.served.load()\n",
    ),
    "none": ("there is none", ""),
}
"""What is in a snapshot: how that is told, and the line that makes it."""

_GO_ON = '''
    @modal.enter(snap=False)
    def go_on(self):
        """After the restore: renew what no two containers may share, then bind."""
        self.served.go_on()
'''

_EXIT = '''
    @modal.exit()
    async def close(self):
        """Stop the service."""
        await self.served.close()
'''

_CALL = '''
    @modal.method()
    async def call(self, route, body):
        """Answer a call: a status and headers, then the body in chunks."""
        async for part in self.served.call(route, body):
            yield part
'''

_ASGI = '''
    @modal.asgi_app(requires_proxy_auth={auth})
    def web(self):
        """Answer HTTP."""
        return self.served.web
'''

_BATCHED = '''
    @modal.batched(max_batch_size={size}, wait_ms={wait})
    async def call(self, route, body):
        """Answer the calls that Modal joined."""
        return await self.served.call_all(route, body)
'''

_FRONT = '''

def web():
    """Pass each request on as one call, since a batched class has no endpoint of its own."""
    sys.path.insert(0, ROOT + "/runtime")
    from bentofn.runtime.modal_front import front

    return front(modal.Cls.from_name(APP, {class_name!r})().call.remote.aio)
'''

_TICK = '''

def tick():
    """Call the service, as a schedule says; fails if the service does, so that Modal retries."""
    planned = json.loads(os.environ[{schedule!r}])
    call = modal.Cls.from_name(APP, {class_name!r})().call
    arguments = planned["route"], planned["body"].encode()
    answer = {answer}
    if answer["status"] >= 400:
        raise RuntimeError(f"{{planned['route']}} answered with status {{answer['status']}}")
'''


@dataclass(frozen=True)
class Batching:
    """How Modal joins calls.

    Args:
        size: Calls in one batch at most.
        wait: Milliseconds that a call waits for others at most.
    """

    size: int
    wait: int


@dataclass(frozen=True)
class Shape:
    """What the module of a function looks like.

    Args:
        name: The function, which is the app's name.
        root: The bento's root in the container.
        cpus: Compute threads.
        snapshot: What is in Modal's memory snapshot: ``service`` (constructed and warmed up),
            ``imports`` (what the service's module imports) or ``none``.
        web: Whether it has an endpoint.
        proxy_auth: Whether callers must send a proxy auth token.
        batching: How calls are joined; None where a container takes them as they come.
    """

    name: str
    root: str
    cpus: int
    snapshot: str
    web: bool
    proxy_auth: bool
    batching: Batching | None = None

    def source(self) -> str:
        """The module's text."""
        parts = [_HEAD.format(name=self.name, root=self.root, class_name=CLASS), self._start()]
        parts += [_GO_ON, _EXIT]
        if self.batching is not None:
            parts.append(_BATCHED.format(size=self.batching.size, wait=self.batching.wait))
            answer = "call.remote(*arguments)"
        else:
            parts.append(_CALL)
            parts.append(_ASGI.format(auth=self.proxy_auth) if self.web else "")
            answer = "list(call.remote_gen(*arguments))[0]"  # to its end, also where it streams
        if self.has_front:
            parts.append(_FRONT.format(class_name=CLASS))
        parts.append(_TICK.format(schedule=SCHEDULE, class_name=CLASS, answer=answer))
        return "".join(parts)

    @property
    def has_front(self) -> bool:
        """Whether the endpoint is a function of its own."""
        return self.web and self.batching is not None

    def _start(self) -> str:
        what, kept = _KEPT[self.snapshot]
        return _CONSTRUCT.format(snap=bool(kept), what=what, cpus=self.cpus, kept=kept)
