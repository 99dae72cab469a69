"""Why a CRIU cannot be used, in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.snapshot.boot import boot_id, kernel
from bentofn.packager.snapshot.criu.check import (
    failed_check,
    is_initial_user_namespace,
    missing_capabilities,
)
from bentofn.packager.snapshot.criu.installed import INSTALLED, Criu
from bentofn.packager.snapshot.criu.kdat import is_tmpfs

CRIU = Criu(("/opt/criu",), "4.2.1", Path("/opt/criu"))
DOCKER = 0x00000000A80425FB
"""What root of a container has that was given nothing."""


def test_root_of_a_plain_container_lacks_what_criu_needs() -> None:
    status = f"Name:\tpython\nCapInh:\t0000000000000000\nCapEff:\t{DOCKER:016x}\nNoNewPrivs:\t0\n"
    assert missing_capabilities(status) == ["CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"]


def test_root_lacks_nothing() -> None:
    assert missing_capabilities("CapEff:\t000001ffffffffff\n") == []


def test_the_root_of_a_rootless_container_is_not_the_hosts() -> None:
    assert is_initial_user_namespace("         0          0 4294967295\n")
    assert not is_initial_user_namespace("         0       1000          1\n")
    assert not is_initial_user_namespace("0 1000 1\n1 100000 65536\n")


@given(st.text(max_size=100))
def test_any_status_is_read(status: str) -> None:
    assert set(missing_capabilities(status)) <= {
        "CAP_SETPCAP",
        "CAP_NET_ADMIN",
        "CAP_SYS_CHROOT",
        "CAP_SYS_PTRACE",
        "CAP_SYS_ADMIN",
    }


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (
            "Warn  (criu/kerndat.c:1108): Stale /run/criu.kdat file\n"
            "Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds\n"
            "Error (criu/crtools.c:260): Could not initialize kernel features detection.\n",
            "vdso: Unexpected rt vDSO area bounds;",
        ),
        ("unshare: unshare failed: Operation not permitted\n", "may make no namespaces"),
        ("mount: /run: permission denied.\n", "may make no namespaces and mounts"),
        ("mount: /run: unknown filesystem type 'tmpfs'.\n", "unknown filesystem type 'tmpfs';"),
        ("criu check did not end within 30 seconds", "did not end within 30 seconds"),
        ("", "it said nothing"),
    ],
)
def test_a_failed_check_is_one_sentence(log: str, said: str) -> None:
    sentence = failed_check(CRIU, log)
    assert said in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_the_criu_that_was_set_up_is_not_to_be_set_up_again() -> None:
    ours = Criu(("criu",), "4.2.1", INSTALLED / "4.2.1" / "criu")
    assert "bentofn snapshot setup" not in failed_check(ours, "Error (x.c:1): odd\n")
    assert "bentofn snapshot setup" in failed_check(CRIU, "Error (x.c:1): odd\n")


@given(st.text(max_size=200))
def test_any_log_of_a_check_is_one_line(log: str) -> None:
    assert len(failed_check(CRIU, log).splitlines()) == 1


def test_the_kernel_and_its_boot_are_known() -> None:
    assert kernel()
    assert boot_id() == boot_id()
    assert not is_tmpfs("/no/such/folder")
