"""A function that is deployed for a test: called, disturbed, and asked what happened."""

from __future__ import annotations

import os
import signal
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import httpx

from bentofn._testing.client import FunctionClient
from bentofn._testing.requests import Request, Start, requests_of, starts_of
from bentofn._testing.waiting import wait_until
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.journal import wire
from bentofn.adapters.local.journal.events import Event
from bentofn.adapters.protocol import FunctionSpec, FunctionStatus, InstanceStatus, LogLine
from bentofn.runtime.manifest import ServiceContract

if TYPE_CHECKING:
    from bentofn._testing.platform import LocalPlatform

AT_ONCE = 64
"""Requests that one test can have under way with :meth:`DeployedFunction.begin`."""
_END = 60.0
"""Real seconds for instances to come to their end, or to serve."""


class DeployedFunction:
    """A function on a test's platform.

    What it tells of requests and instances is the platform's journal since it was deployed.

    Args:
        spec: What was applied.
        contract: What its bento says of its endpoints.
        platform: Where.
    """

    def __init__(
        self, spec: FunctionSpec, contract: ServiceContract, platform: LocalPlatform
    ) -> None:
        self.name = spec.name
        self.url = f"{platform.url}/{spec.name}"
        """Where it answers, without a slash at the end."""
        self.platform = platform
        self._spec = spec
        self._contract = contract
        self._since = 0
        self._threads = ThreadPoolExecutor(AT_ONCE, f"bentofn-{spec.name}")

    def begin_at_zero(self) -> None:
        """Stop what the deployment has started to prove that it starts, and count from here."""
        if not self._spec.settings.min_instances:
            self.recycle()
        wait_until(
            lambda: all(each.state == "ready" for each in self.instances), _END, "the first start"
        )
        self._since = self._journal()["count"]

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request.

        Args:
            method: HTTP method.
            path: Below the function's URL, with a leading slash.
            options: As for :meth:`httpx.Client.request`: ``json``, ``content``, ``headers``...

        Raises:
            httpx.TransportError: There was no answer.
        """
        return self.platform.http.request(method, f"{self.url}{path}", **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Send a GET request; see :meth:`request`."""
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        """Send a POST request with a JSON body; see :meth:`request`."""
        return self.request("POST", path, json=json, **options)

    def begin(self, path: str, json: Any = None, **options: Any) -> Future[httpx.Response]:
        """Send a POST request and do not wait for its answer, so that others run beside it."""
        return self._threads.submit(self.post, path, json, **options)

    def client(self, **options: Any) -> FunctionClient:
        """A client with a method for each endpoint; ``options`` as for
        :class:`bentofn.SyncHTTPClient`."""
        return FunctionClient(self.url, self._contract, **options)

    @property
    def status(self) -> FunctionStatus:
        """How it stands."""
        (found,) = (each for each in self.platform.client.status() if each.name == self.name)
        return found

    @property
    def instances(self) -> tuple[InstanceStatus, ...]:
        """What runs now."""
        return self.status.instances or ()

    def logs(self) -> list[LogLine]:
        """What its instances and the platform have written of it."""
        return list(LocalAdapter(self.platform.home).logs(self.name))

    def recycle(self) -> None:
        """Have its instances stopped, as a backend does at any time. The next request finds none,
        unless the profile or ``min_instances`` has others started at once."""
        self.platform.client.testing("recycle", function=self.name)

    def kill(self, instance: str | None = None) -> None:
        """Kill the processes of its instances, or of one, without any notice.

        Lambda's environments outlive that: their next invocation starts another process.

        Raises:
            AssertionError: None runs.
        """
        chosen = [each for each in self.instances if instance in (None, each.id)]
        pids = {each.pid for each in chosen if each.pid}
        if not pids:
            raise AssertionError(f"{self.name} has no process to kill")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: pids.isdisjoint(each.pid for each in self.instances), _END, "their end")

    def throttle(self, times: int | None = None) -> None:
        """Have requests refused, as the profile's backend refuses those that find no room.

        Args:
            times: How many; None for all until :meth:`heal`.
        """
        self._inject("throttle", times)

    def slow_start(self, seconds: float, times: int | None = 1) -> None:
        """Have instances start later, by the platform's clock.

        Args:
            seconds: By how much: until then requests wait, for the clock too.
            times: How many starts; None for all until :meth:`heal`.
        """
        self._inject("slow_start", times, seconds)

    def lose_network(
        self, how: Literal["refused", "cut"] = "refused", times: int | None = None
    ) -> None:
        """Have the network between the platform and the instances fail.

        Args:
            how: ``refused``: instances take no connection, and the platform tries others.
                ``cut``: an instance gets the request and does what it asks for; its answer is lost.
            times: How many requests; None for all until :meth:`heal`.
        """
        self._inject(how, times)

    def heal(self) -> None:
        """End all faults."""
        self.platform.client.testing("heal", function=self.name)

    @property
    def events(self) -> list[Event]:
        """What happened, as the journal has it.

        Raises:
            AssertionError: It was more than the journal keeps.
        """
        found = self._journal()
        if found["missed"]:
            raise AssertionError(f"the journal has dropped {found['missed']} events already")
        return [wire.from_json(each) for each in found["events"]]

    @property
    def requests(self) -> list[Request]:
        """Its requests, in their order of arrival."""
        return requests_of(self.events)

    @property
    def refused(self) -> list[Request]:
        """The requests that the platform refused."""
        return [each for each in self.requests if each.refused]

    @property
    def throttled(self) -> list[Request]:
        """Those that it refused with 429."""
        return [each for each in self.refused if each.status == 429]

    @property
    def cold_starts(self) -> list[Start]:
        """The instances that came up, in whichever way."""
        return starts_of(self.events)

    @property
    def batches(self) -> list[int]:
        """For each request that was answered in a batch, the items of that batch."""
        return [each.batch_size for each in self.requests if each.batch_size is not None]

    def assert_cold_starts(self, count: int) -> None:
        """Fail unless so many instances came up since it was deployed."""
        __tracebackhide__ = True
        found = self.cold_starts
        if len(found) != count:
            told = ", ".join(f"{each.instance} ({each.kind})" for each in found) or "none"
            raise AssertionError(f"{self.name}: {len(found)} cold starts, not {count}: {told}")

    def assert_batched(self, at_least: int) -> None:
        """Fail unless one batch had so many items."""
        __tracebackhide__ = True
        found = self.batches
        if max(found, default=0) < at_least:
            sizes = ", ".join(f"{size} items: {n} requests" for size, n in Counter(found).items())
            raise AssertionError(
                f"{self.name}: no batch of {at_least} items or more: {sizes or 'no batches'}"
            )

    def close(self) -> None:
        """Let go what was begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _inject(self, kind: str, times: int | None, seconds: float = 0.0) -> None:
        self.platform.client.testing(
            "faults", function=self.name, kind=kind, times=times, seconds=seconds
        )

    def _journal(self) -> dict[str, Any]:
        return self.platform.client.testing("journal", function=self.name, after=self._since)
