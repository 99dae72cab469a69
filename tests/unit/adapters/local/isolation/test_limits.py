from __future__ import annotations

import pytest

from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.local.isolation.limits import MEBI, Limits
from bentofn.adapters.protocol import FunctionSettings


@pytest.mark.parametrize(
    ("profile", "settings", "memory", "cpus", "boost"),
    [
        ("plain", FunctionSettings(), None, None, False),
        ("plain", FunctionSettings(memory=512, cpu=0.5), 512, 0.5, False),
        ("lambda", FunctionSettings(memory=1769), 1769, 1.0, True),
        ("lambda", FunctionSettings(memory=3538, cpu=0.5), 3538, 2.0, True),
        ("cloud-run", FunctionSettings(), 512, 1.0, True),
        ("cloud-run", FunctionSettings(memory=1024, cpu=2), 1024, 2.0, True),
        ("knative", FunctionSettings(), None, None, False),
    ],
)
def test_an_instance_has_what_its_function_asks_for_or_its_backend_gives(
    profile: str, settings: FunctionSettings, memory: int | None, cpus: float | None, boost: bool
) -> None:
    limits = Limits.of(settings, load_profile(profile))
    assert limits.memory == (memory and memory * MEBI)
    assert (limits.cpus, limits.boost) == (cpus, boost)


def test_an_over_user_is_told_of_in_the_backends_words() -> None:
    limits = Limits.of(FunctionSettings(memory=512), load_profile("cloud-run"))
    assert limits.told(520 * MEBI).startswith("Memory limit of 512 MiB exceeded with 520 MiB used.")
    plain = Limits.of(FunctionSettings(memory=512), load_profile("plain"))
    assert plain.told(None).endswith("(memorySize); its peak was ? MiB")
