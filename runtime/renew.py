"""What a copy of a process must not share with its siblings: randomness.

Clones of one template (or restores of one image) start with equal memory, so every generator that
lives in memory would draw the same numbers in each. Only what is loaded is touched: renewing must
cost nothing to a service that does not use torch.

Measured over restores of one image: the states of ``random``, numpy, torch, ``tempfile`` and
OpenSSL were equal; ``os.urandom``, ``secrets`` and ``uuid4`` were not.
"""

from __future__ import annotations

import os
import random
import sys
from types import ModuleType
from typing import Any

_UUID_CLOCK = ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7")


def renew(instance: object) -> None:
    """Give this process its own randomness.

    Generators that the service keeps as attributes are seeded anew as well, also those that it made
    with a seed: a seed that every clone shares is the accident that this prevents.

    Args:
        instance: The service's instance.
    """
    random.seed()
    _renew_openssl()
    _renew_numpy()
    _renew_torch()
    _renew_names()
    for value in list(getattr(instance, "__dict__", {}).values()):
        _renew_generator(value)


def _loaded(name: str) -> ModuleType | None:
    return sys.modules.get(name)


def _seed() -> int:
    return int.from_bytes(os.urandom(8), "little")


def _renew_openssl() -> None:
    ssl = _loaded("ssl")
    if ssl is not None:
        # OpenSSL notices a fork, but not a restore under the same process id.
        ssl.RAND_add(os.urandom(64), 64.0)


def _renew_numpy() -> None:
    numpy_random = _loaded("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _renew_torch() -> None:
    torch = _loaded("torch")
    if torch is None:
        return
    torch.default_generator.manual_seed(_seed())
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(_seed())


def _renew_names() -> None:
    tempfile = _loaded("tempfile")
    if tempfile is not None:
        tempfile.__dict__["_name_sequence"] = None
    uuid = _loaded("uuid")
    if uuid is not None:
        uuid.__dict__.update(dict.fromkeys(set(_UUID_CLOCK) & set(uuid.__dict__)))


def _renew_generator(value: Any) -> None:
    if isinstance(value, random.Random):
        value.seed()
        return
    numpy_random = _loaded("numpy.random")
    if numpy_random is not None:
        if isinstance(value, numpy_random.RandomState):
            value = value._bit_generator
        elif isinstance(value, numpy_random.Generator):
            value = value.bit_generator
        if isinstance(value, numpy_random.BitGenerator):
            value.state = type(value)().state
            return
    torch = _loaded("torch")
    if torch is not None and isinstance(value, torch.Generator):
        value.manual_seed(_seed())
