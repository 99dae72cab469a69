from __future__ import annotations

from dataclasses import replace

import pytest

from bentofn.packager.snapshot.host import HostClass, this_host
from bentofn.runtime.processor import features_of

HOST = HostClass(
    "x86_64", "GenuineIntel", ("avx2", "avx512_bf16"), "6.18.1", "glibc 2.36", "580.1",
    ("chown", "sys_time"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("here", "sentence"),
    [
        (HOST, None),
        (
            replace(HOST, features=("avx2",)),
            "on a CPU with avx512_bf16, which this one lacks",
        ),
        (
            replace(HOST, features=("amx", "avx2", "avx512_bf16")),
            "on a CPU without amx, which this one has",
        ),
        (
            replace(HOST, vendor="AuthenticAMD"),
            "on a CPU of GenuineIntel, and this one is of AuthenticAMD",
        ),
        (replace(HOST, machine="aarch64"), "on x86_64, and this is aarch64"),
        (replace(HOST, kernel="6.19.0"), "on Linux 6.18.1, and this is 6.19.0"),
        (
            replace(HOST, libc="glibc 2.41"),
            "with glibc 2.36, and this machine has glibc 2.41",
        ),
        (
            replace(HOST, driver=""),
            "with the GPU driver 580.1, and this machine has no GPU driver",
        ),
        (
            replace(HOST, capabilities=("chown",)),
            "with the privileges sys_time, which this process lacks",
        ),
        (
            replace(HOST, capabilities=("bpf", "chown", "sys_time")),
            "without the privileges bpf, which this process has",
        ),
    ],
)
def test_a_mismatch_says_what_differs(here: HostClass, sentence: str | None) -> None:
    assert HOST.mismatch(here) == sentence


def test_many_missing_features_are_counted() -> None:
    other = replace(HOST, features=tuple(f"f{i}" for i in range(9)))
    assert other.mismatch(HOST) == "on a CPU with f0, f1, f2, f3 and 5 more, which this one lacks"


def test_guards_and_power_saving_are_no_features_of_a_class() -> None:
    intel = "vendor_id\t: GenuineIntel\nflags\t\t: fpu avx2 sse2 md_clear ibrs hypervisor arat\n"
    assert features_of(intel) == ("avx2", "fpu", "sse2")


def test_arm_calls_them_features() -> None:
    assert features_of("CPU implementer\t: 0x41\nFeatures\t: fp sve asimd\n") == (
        "asimd",
        "fp",
        "sve",
    )


def test_this_host_is_of_its_own_class() -> None:
    here = this_host()
    assert here.kernel
    assert here.features
    assert here.mismatch(this_host()) is None
    assert HostClass.from_json(here.to_json()) == here
