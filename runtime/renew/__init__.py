"""What a copy of a process must not share with its siblings, or keep from its past.

Clones of one template (or restores of one image) start with equal memory, so every generator that
lives in memory would draw the same numbers in each. Only what is loaded is touched: renewing must
cost nothing to a service that does not use torch.

Measured over restores of one image: the states of ``random``, numpy, torch, ``tempfile`` and
OpenSSL were equal; ``os.urandom``, ``secrets`` and ``uuid4`` were not.
"""

from __future__ import annotations

from collections.abc import Iterable

from bentofn.runtime.renew.generators import find_generators, renew_generator
from bentofn.runtime.renew.libraries import renew_libraries
from bentofn.runtime.renew.names import renew_names

__all__ = ["find_generators", "renew"]


def renew(generators: Iterable[object]) -> None:
    """Give this process its own randomness.

    Args:
        generators: From :func:`find_generators`. They are seeded anew even where the service made
            them with a seed: a seed that every clone shares is the accident that this prevents.
    """
    renew_libraries()
    renew_names()
    for generator in generators:
        renew_generator(generator)
