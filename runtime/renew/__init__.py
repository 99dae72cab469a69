"""What a copy of a process must not share with its siblings, or keep from its past.

Clones of one template (or restores of one image) start with equal memory, so every generator that
lives in memory would draw the same numbers in each. And an image may lie for days before it is
restored, on another boot or host. Only what is loaded is touched: renewing must cost nothing to a
service that does not use torch.

Measured over restores of one image: the states of ``random``, numpy, torch, ``tempfile``, OpenSSL,
SQLite and the C library were equal, and so were private keys that ``cryptography`` made;
``os.urandom``, ``secrets`` and ``uuid4`` were not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from bentofn.runtime.dependency import in_process
from bentofn.runtime.renew.clocks import find_clocks
from bentofn.runtime.renew.environment import renew_environment
from bentofn.runtime.renew.generators import find_declared, find_generators, renew_generator
from bentofn.runtime.renew.identity import find_identity
from bentofn.runtime.renew.libraries import find_libraries
from bentofn.runtime.renew.names import find_names
from bentofn.runtime.renew.native import find_native
from bentofn.runtime.renew.wiped import find_wiped

__all__ = ["Renewal", "find", "find_imported", "renew", "renew_environment"]

Renewal = Callable[[], None]
"""A function that a copy calls, once, before anything of the service's runs in it."""


def find(instance: object) -> list[Renewal]:
    """What a copy of this process has to renew: takes milliseconds, so do it before the copy.

    Args:
        instance: The service's instance.
    """
    return _find(
        generator
        for each in (*_siblings(instance), instance)
        for generator in find_generators(each)
    )


def find_imported(classes: Iterable[type]) -> list[Renewal]:
    """The same for services that are imported, and not constructed yet.

    Args:
        classes: Theirs.
    """
    return _find(generator for each in classes for generator in find_declared(each))


def _find(generators: Iterable[object]) -> list[Renewal]:
    return [
        *find_clocks(),
        *find_wiped(),
        *find_native(),
        *find_libraries(),
        *(partial(renew_generator, generator) for generator in generators),
        *find_names(),
        *find_identity(),
    ]


def _siblings(instance: object) -> list[object]:
    """The instances of what the service depends on in this process."""
    service = getattr(instance, "bento_service", None)
    return [] if service is None else in_process(service)


def renew(renewals: Iterable[Renewal]) -> None:
    """Make this process, a copy, one of its own.

    Args:
        renewals: From :func:`find`.
    """
    for renewal in renewals:
        renewal()
