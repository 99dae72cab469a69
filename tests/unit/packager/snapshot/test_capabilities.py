from __future__ import annotations

from bentofn.packager.snapshot.capabilities import capabilities_of, own_capabilities


def test_the_bounding_set_is_named() -> None:
    status = "Name:\tpython3\nCapEff:\t0000000000000000\nCapBnd:\t0000028000000021\nCapAmb:\t0\n"
    assert capabilities_of(status) == ("41", "bpf", "chown", "kill")


def test_a_system_without_capabilities_has_none() -> None:
    assert capabilities_of("") == ()
    assert own_capabilities() == own_capabilities()
