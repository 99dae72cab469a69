from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from bentofn.runtime.renew import find, renew
from bentofn.runtime.renew.generators import find_generators

IN_THE_MODULE = random.Random(7)


class Holder:
    def __init__(self) -> None:
        self.plain = random.Random(7)
        self.generator = np.random.default_rng(7)
        self.legacy = np.random.RandomState(7)
        self.legacy_of_bits = np.random.RandomState(np.random.PCG64(7))
        self.bits = np.random.PCG64(7)
        self.twister = np.random.MT19937(7)
        self.sequence = np.random.SeedSequence(7)
        self.held = {"deep": [np.random.default_rng(7)]}
        self.slots = deque([Slots(np.random.default_rng(7))])
        self.part = Part()
        self.name = "unchanged"


@dataclass(slots=True)
class Slots:
    generator: np.random.Generator
    unset: object = field(init=False)


class Part:
    def __init__(self) -> None:
        self.generator = random.Random(7)
        self.whole = self  # a ring is walked once


STREAMS: dict[str, Callable[[Holder], object]] = {
    "random": lambda holder: holder.plain.random(),
    "second of a pair": lambda holder: holder.plain.gauss(0, 1),
    "generator": lambda holder: holder.generator.random(),
    "spawned": lambda holder: holder.generator.spawn(1)[0].random(),
    "legacy": lambda holder: holder.legacy.random(),
    "legacy, second of a pair": lambda holder: holder.legacy.standard_normal(),
    "legacy of bits, second of a pair": lambda holder: holder.legacy_of_bits.standard_normal(),
    "bits": lambda holder: int(holder.bits.random_raw()),
    "twister": lambda holder: int(holder.twister.random_raw()),
    "sequence": lambda holder: int(holder.sequence.generate_state(1)[0]),
    "deep": lambda holder: holder.held["deep"][0].random(),
    "slots": lambda holder: holder.slots[0].generator.random(),
    "part": lambda holder: holder.part.generator.random(),
    "module": lambda holder: IN_THE_MODULE.random(),
    "global random": lambda holder: random.random(),
    "global numpy": lambda holder: np.random.random(),
    "global numpy, second of a pair": lambda holder: np.random.standard_normal(),
}


def draw(holder: Holder) -> dict[str, object]:
    return {name: stream(holder) for name, stream in STREAMS.items()}


@pytest.fixture
def holder() -> Holder:
    """Has made the first of every pair of normal numbers."""
    holder = Holder()
    for generator in (holder.legacy, holder.legacy_of_bits, np.random):
        generator.standard_normal()
    holder.plain.gauss(0, 1)
    return holder


def test_forks_draw_the_same_without_renewal_and_nothing_the_same_with_it(
    holder: Holder, forks: Any
) -> None:
    one, other = forks(lambda: draw(holder))
    # Python itself seeds this one in a fork, but not in a process that is restored.
    assert [name for name in one if one[name] != other[name]] == ["global random"]

    renewals = find(holder)

    def renewed() -> dict[str, object]:
        renew(renewals)
        return {**draw(holder), "name": holder.name}

    one, other = forks(renewed)
    assert [name for name in one if one[name] == other[name]] == ["name"]
    assert one["name"] == "unchanged"


def test_a_global_generator_of_another_kind_is_seeded_anew(forks: Any) -> None:
    def renewed() -> float:
        np.random.set_bit_generator(np.random.PCG64(7))
        renew(find(None))
        return np.random.random()

    one, other = forks(renewed)
    assert one != other


def test_an_instance_without_attributes_is_fine() -> None:
    class Slim:
        __slots__ = ()

    assert IN_THE_MODULE in find_generators(Slim())


def test_looking_for_generators_asks_no_object_for_attributes() -> None:
    class Lazy:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("this would connect")

    holder = Holder()
    holder.lazy = Lazy()  # type: ignore[attr-defined]
    assert holder.plain in find_generators(holder)
