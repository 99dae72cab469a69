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
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

_UUID_CLOCK = ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7")


def find_generators(instance: object) -> list[object]:
    """The random generators that a service holds: walks much, so do it before a fork.

    They are looked for in the instance, its class and the modules of its project, and in the
    containers and objects that these hold.
    """
    found: list[object] = []
    seen: set[int] = set()
    left: list[object] = [instance, *map(vars, [*type(instance).__mro__, *_project_of(instance)])]
    while left:
        value = left.pop()
        if id(value) not in seen:
            seen.add(id(value))
            if _is_generator(value):
                found.append(value)
            else:
                left.extend(_held_by(value))
    return found


def renew(generators: Iterable[object]) -> None:
    """Give this process its own randomness.

    Args:
        generators: From :func:`find_generators`. They are seeded anew even where the service made
            them with a seed: a seed that every clone shares is the accident that this prevents.
    """
    random.seed()
    _renew_openssl()
    _renew_numpy()
    _renew_torch()
    _renew_names()
    for generator in generators:
        _renew_generator(generator)


def _project_of(instance: object) -> Iterator[ModuleType]:
    """The loaded modules that stand beside the service's."""
    own = sys.modules.get(type(instance).__module__)
    folder = os.path.dirname(getattr(own, "__file__", None) or "")  # noqa: PTH120
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if module is own or (folder and isinstance(file, str) and file.startswith(folder + os.sep)):
            yield module


def _held_by(value: object) -> Iterable[object]:
    if isinstance(value, dict | type(vars(object))):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if isinstance(value, type | ModuleType):
        return ()
    try:
        # Past __getattr__, which may load or connect.
        return list(object.__getattribute__(value, "__dict__").values())
    except (AttributeError, TypeError):
        return ()


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


def _is_generator(value: object) -> bool:
    if isinstance(value, random.Random):
        return True
    numpy_random, torch = _loaded("numpy.random"), _loaded("torch")
    if numpy_random is not None and isinstance(
        value, (numpy_random.Generator, numpy_random.RandomState, numpy_random.BitGenerator)
    ):
        return True
    return torch is not None and isinstance(value, torch.Generator)


def _renew_generator(value: Any) -> None:
    numpy_random = _loaded("numpy.random")
    if isinstance(value, random.Random):
        value.seed()
    elif numpy_random is not None and isinstance(value, numpy_random.RandomState):
        _renew_bits(value._bit_generator, numpy_random)
    elif numpy_random is not None and isinstance(value, numpy_random.Generator):
        _renew_bits(value.bit_generator, numpy_random)
    elif numpy_random is not None and isinstance(value, numpy_random.BitGenerator):
        _renew_bits(value, numpy_random)
    else:
        value.manual_seed(_seed())


def _renew_bits(bits: Any, numpy_random: ModuleType) -> None:
    bits.state = type(bits)().state
    # What Generator.spawn draws from. It cannot be replaced, but made over.
    sequence = getattr(bits, "seed_seq", None)
    if isinstance(sequence, numpy_random.SeedSequence):
        numpy_random.SeedSequence.__init__(sequence)
