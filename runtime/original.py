"""What a fork or a restore starts from: a warmed service that has become nothing yet."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module

from bentofn.runtime import asgi, lifecycle, lifeline, rehearsal, renew, stages
from bentofn.runtime.http.app import ServiceApp
from bentofn.runtime.http.serving import ServerConfig
from bentofn.runtime.kept import start as kept
from bentofn.runtime.obstacles import Sites
from bentofn.runtime.protocol import Channel, Failed, Refused

WhyNot = Callable[[Collection[int], Sites], str | None]
"""Says what keeps this process from being copied, given the descriptors that copies do not keep and
where things were opened."""


@dataclass(frozen=True)
class Original:
    """A process that can be copied.

    Args:
        renewable: What its copies must not share.
        app: The application that they serve.
        config: How they serve.
    """

    renewable: lifecycle.Renewable
    app: ServiceApp
    config: ServerConfig

    def configure_copy(
        self, env: Mapping[str, str], threads: int, seal: Callable[[], None]
    ) -> ServerConfig:
        """Turn this process, a copy, into an instance of its own.

        Args:
            env: The instance's whole environment.
            threads: Its number of compute threads, unless the environment says.
            seal: Drops the privileges that it was copied with.

        Returns:
            How it serves.

        Raises:
            Exception: Whatever an after-restore hook raises.
        """
        lifecycle.restore(self.renewable, env, threads, seal)
        return self.config


def prepare(options: Mapping[str, str], control: Channel, why_not: WhyNot) -> Original | None:
    """Bring the service of a boot process to the point where it can be copied.

    Args:
        options: Of the boot process.
        control: Told why it cannot be copied, if so.
        why_not: For this way of copying.
    """
    sites = Sites.record(options["source"], options["env"])
    try:
        with lifeline.Watch(control.socket):
            prepared = lifecycle.prepare(options)
            import_module("bentofn.runtime.http.uploads")  # what no copy should import by itself
            config = asgi.configure(prepared.served, websockets=prepared.app.has_mounts)
            rehearsal.rehearse(prepared.app, config)
    except Exception as error:
        control.send(Failed(lifecycle.explain(error)))
        return None
    sites.stop()
    return _copyable(prepared.app, config, control, why_not, sites)


def prepare_again(original: Original, control: Channel, why_not: WhyNot) -> Original | None:
    """Bring a copy that has served to the point where it can be copied itself.

    Args:
        original: What it was made of.
        control: Told why it cannot be copied, if so.
        why_not: As for :func:`prepare`.
    """
    try:
        lifecycle.end_before_copy(original.app.instance)
    except Exception as error:
        control.send(Failed(lifecycle.explain(error)))
        return None
    return _copyable(original.app, original.config, control, why_not, Sites())


def make_copyable(instance: object) -> lifecycle.Renewable:
    """Finish what no copy should have to do; returns what each must not share.

    Args:
        instance: The service's instance, if there is one yet.
    """
    renewable = lifecycle.Renewable.find(instance)
    # Once here, so that what it does for the first time (OpenSSL's start) is not left to a copy.
    renew.renew(renewable.renewals)
    flush()
    gc.collect()
    lifecycle.settle()
    return renewable


def flush() -> None:
    """Write out what C libraries print, or every copy would print it again."""
    ctypes.CDLL(None).fflush(None)


def _copyable(
    app: ServiceApp, config: ServerConfig, control: Channel, why_not: WhyNot, sites: Sites
) -> Original | None:
    stages.end()  # each copy says for itself whether it is asked
    app.end_threads()  # a copy drops its privileges in its main thread alone
    refusal = why_not([control.fileno()], sites)
    if refusal is not None:
        control.send(Refused(refusal))
        return None
    kept.settled()
    return Original(make_copyable(app.instance), app, config)
