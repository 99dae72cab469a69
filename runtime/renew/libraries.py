"""The random generators that Python libraries keep for everybody."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from bentofn.runtime.renew.generators import fresh_seed, renew_generator


def find_libraries() -> list[Callable[[], None]]:
    """A function for each global generator of the libraries that are loaded.

    JAX keeps none: its keys are values of the program that made them. There are those of GPUs where
    their memory is part of a snapshot; else a seed may wait for their first use.
    """
    found: list[Callable[[], None]] = [random.seed]
    mtrand, torch = sys.modules.get("numpy.random.mtrand"), sys.modules.get("torch")
    if mtrand is not None:
        found.append(partial(_renew_numpy, mtrand))
    if torch is not None:
        found.extend(partial(_renew_seeded, seed) for seed in _seeds_of(torch))
    if "cupy.random" in sys.modules:
        # Made anew from the system's randomness when they are next asked for.
        found.append(sys.modules["cupy.random"].reset_states)
    if "tensorflow" in sys.modules:
        found.append(partial(_renew_tensorflow, sys.modules["tensorflow"].random))
    if "polars" in sys.modules:
        found.append(partial(_renew_seeded, sys.modules["polars"].set_random_seed))
    if "onnxruntime" in sys.modules:
        # For sessions that are made from now on: each has its random operators' seeds of it.
        found.append(partial(_renew_seeded, sys.modules["onnxruntime"].set_seed))
    if "numba._helperlib" in sys.modules:
        found.extend(_of_numba(sys.modules["numba._helperlib"]))
    return found


def _renew_numpy(mtrand: Any) -> None:
    renew_generator(mtrand._rand)


def _seeds_of(torch: Any) -> Iterator[Callable[[int], object]]:
    """What seeds torch's generators."""
    yield torch.default_generator.manual_seed
    if torch.backends.mps.is_available():
        yield torch.mps.manual_seed
    # torch.manual_seed also seeds the GPUs. Until they are used the seed waits (_LazySeedTracker of
    # torch/_utils.py), and the last one for all GPUs holds. Without one, a GPU's generator is made
    # at first use from the system's randomness.
    for name in ("cuda", "xpu"):
        device: Any = getattr(torch, name, None)
        tracker = getattr(device, "_lazy_seed_tracker", None)
        if tracker is not None and (device.is_initialized() or tracker.get_calls()):
            yield device.manual_seed_all


def _renew_seeded(seed: Callable[[int], object]) -> None:
    seed(fresh_seed() >> 1)  # some take a signed number


def _of_numba(helpers: Any) -> Iterator[Callable[[], None]]:
    """Compiled code has one generator for ``random`` and one for ``numpy.random``."""
    for state in (helpers.rnd_get_py_state_ptr(), helpers.rnd_get_np_state_ptr()):
        yield partial(_renew_state, partial(helpers.rnd_seed, state))


def _renew_state(seed: Callable[[int], object]) -> None:
    seed(fresh_seed() >> 32)  # it takes 32 bits


def _renew_tensorflow(tensorflow_random: Any) -> None:
    _renew_seeded(tensorflow_random.set_seed)
    # Made anew from the system's randomness when it is next asked for.
    tensorflow_random.set_global_generator(None)
