"""The random generators that a service holds itself."""

from __future__ import annotations

import os
import random
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import MemberDescriptorType, ModuleType
from typing import Any

_TWISTER_WORDS = 624
"""Of the Mersenne twister's state; as its position it says that all of them are used up."""


def find_generators(instance: object) -> list[object]:
    """The random generators that a service holds: walks much, so do it before a copy is made.

    They are looked for in the instance, its class and the modules of its project, and in the
    containers and objects that these hold.
    """
    return _within([instance, *_declared(type(instance))])


def find_declared(cls: type) -> list[object]:
    """The same for a class of which there is no instance yet."""
    return _within(_declared(cls))


def _declared(cls: type) -> list[object]:
    return [vars(each) for each in (*cls.__mro__, *_project_of(cls))]


def _within(left: list[object]) -> list[object]:
    found: list[object] = []
    seen: set[int] = set()
    while left:
        value = left.pop()
        if id(value) not in seen:
            seen.add(id(value))
            if _is_generator(value):
                found.append(value)
            else:
                left.extend(_held_by(value))
    return found


def renew_generator(value: Any) -> None:
    """Seed a generator of ``random``, numpy or torch anew, from the system's randomness.

    Also where the service made it with a seed: a seed that every copy shares is the accident that
    this prevents.
    """
    numpy_random = sys.modules.get("numpy.random")
    if isinstance(value, random.Random):
        value.seed()
    elif numpy_random is not None and isinstance(value, _numpy_kinds(numpy_random)):
        _renew_numpy(value, numpy_random)
    else:
        value.manual_seed(fresh_seed())


def fresh_seed() -> int:
    """A seed of 64 bits that nobody else has."""
    return int.from_bytes(os.urandom(8), "little")


def _project_of(cls: type) -> Iterator[ModuleType]:
    """The loaded modules that stand beside the service's."""
    own = sys.modules.get(cls.__module__)
    folder = os.path.dirname(getattr(own, "__file__", None) or "")  # noqa: PTH120
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if module is own or (folder and isinstance(file, str) and file.startswith(folder + os.sep)):
            yield module


def _held_by(value: object) -> Iterable[object]:
    if isinstance(value, dict | type(vars(object))):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset | deque):
        return list(value)
    if isinstance(value, type | ModuleType):
        return ()
    return list(_attributes_of(value))


def _attributes_of(value: object) -> Iterator[object]:
    """Past ``__getattr__``, which may load or connect."""
    with suppress(AttributeError, TypeError):
        yield from list(object.__getattribute__(value, "__dict__").values())
    for cls in type(value).__mro__:
        names = cls.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            member = cls.__dict__.get(name)
            if isinstance(member, MemberDescriptorType):
                with suppress(AttributeError):  # it has no value yet
                    yield member.__get__(value)


def _is_generator(value: object) -> bool:
    if isinstance(value, random.Random):
        return True
    numpy_random, torch = sys.modules.get("numpy.random"), sys.modules.get("torch")
    if numpy_random is not None and isinstance(value, _numpy_kinds(numpy_random)):
        return True
    return torch is not None and isinstance(value, torch.Generator)


def _numpy_kinds(numpy_random: Any) -> tuple[type, ...]:
    return (
        numpy_random.Generator,
        numpy_random.RandomState,
        numpy_random.BitGenerator,
        numpy_random.SeedSequence,
    )


def _renew_numpy(value: Any, numpy_random: Any) -> None:
    if isinstance(value, numpy_random.Generator):
        _renew_bits(value.bit_generator, numpy_random)
    elif isinstance(value, numpy_random.BitGenerator):
        _renew_bits(value, numpy_random)
    elif isinstance(value, numpy_random.SeedSequence):
        numpy_random.SeedSequence.__init__(value)
    elif isinstance(value._bit_generator, numpy_random.MT19937):
        value.set_state(("MT19937", _twisted(), _TWISTER_WORDS))
    else:
        _renew_bits(value._bit_generator, numpy_random)
        # Normal numbers are made in pairs: the second of the old pair would still be drawn.
        value.set_state({**value.get_state(legacy=False), "has_gauss": 0, "gauss": 0.0})


def _renew_bits(bits: Any, numpy_random: Any) -> None:
    if isinstance(bits, numpy_random.MT19937):
        state = {"key": _twisted(), "pos": _TWISTER_WORDS}
        bits.state = {"bit_generator": "MT19937", "state": state}
    else:
        bits.state = type(bits)().state
    # What Generator.spawn draws from. It cannot be replaced, but made over.
    sequence = getattr(bits, "seed_seq", None)
    if isinstance(sequence, numpy_random.SeedSequence):
        numpy_random.SeedSequence.__init__(sequence)


def _twisted() -> Any:
    """A whole state: seeding touches twice the pages, and a restore waits for each."""
    return sys.modules["numpy"].frombuffer(os.urandom(4 * _TWISTER_WORDS), "uint32")
