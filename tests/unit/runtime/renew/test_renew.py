from __future__ import annotations

import random
import tempfile
import uuid

import numpy as np

from bentofn.runtime.renew import find, renew
from bentofn.runtime.renew.generators import find_generators, renew_generator

IN_THE_MODULE = random.Random(7)


class Holder:
    def __init__(self) -> None:
        self.plain = random.Random(7)
        self.generator = np.random.default_rng(7)
        self.legacy = np.random.RandomState(7)
        self.bits = np.random.PCG64(7)
        self.held = {"deep": [np.random.default_rng(7)]}
        self.part = Part()
        self.name = "unchanged"


class Part:
    def __init__(self) -> None:
        self.generator = random.Random(7)
        self.whole = self  # a ring is walked once


def draw(holder: Holder) -> list[object]:
    return [
        holder.plain.random(),
        holder.generator.random(),
        holder.legacy.random(),
        int(holder.bits.random_raw()),
        holder.generator.spawn(1)[0].random(),
        holder.held["deep"][0].random(),
        holder.part.generator.random(),
    ]


def test_generators_kept_by_the_service_are_seeded_anew() -> None:
    first, second = Holder(), Holder()
    assert draw(first) == draw(second)
    renew(find(first))
    assert not set(map(str, draw(first))) & set(map(str, draw(second)))
    assert first.name == "unchanged"


def test_global_generators_are_seeded_anew() -> None:
    state = random.getstate()
    numpy_state = np.random.get_state()
    try:
        random.seed(1)
        np.random.seed(1)
        expected = random.random(), np.random.random()
        random.seed(1)
        np.random.seed(1)
        renew(find(None))
        assert random.random() != expected[0]
        assert np.random.random() != expected[1]
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)


def test_names_and_clocks_start_over() -> None:
    with tempfile.NamedTemporaryFile():
        names = tempfile.__dict__["_name_sequence"]
    uuid.__dict__["_last_timestamp"] = 1 << 62
    renew(find(None))
    assert tempfile.__dict__["_name_sequence"] is not names
    assert uuid.__dict__["_last_timestamp"] is None
    with tempfile.NamedTemporaryFile():
        uuid.uuid1()


def test_an_instance_without_attributes_is_fine() -> None:
    class Slim:
        __slots__ = ()

    renew(find(Slim()))


def test_generators_of_the_services_module_are_found() -> None:
    assert IN_THE_MODULE in find_generators(Holder())


def test_looking_for_generators_asks_no_object_for_attributes() -> None:
    class Lazy:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("this would connect")

    holder = Holder()
    holder.lazy = Lazy()  # type: ignore[attr-defined]
    assert holder.plain in find_generators(holder)


def test_the_second_of_a_pair_of_normal_numbers_is_not_kept() -> None:
    states = [np.random.RandomState(7), np.random.RandomState(np.random.PCG64(7))]
    for state in states:
        state.standard_normal()
        kept = state.get_state(legacy=False)["gauss"]
        renew_generator(state)
        assert state.standard_normal() != kept


def test_a_global_generator_of_another_kind_is_seeded_anew() -> None:
    before = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.PCG64(7))
        renew(find(None))
        assert np.random.random() != np.random.RandomState(np.random.PCG64(7)).random()
    finally:
        np.random.set_bit_generator(before)
