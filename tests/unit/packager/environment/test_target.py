"""Which interpreter and platform a bento is built for, and what is compiled for which machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.environment.machine import machine_of, refuse_other_machines
from bentofn.packager.environment.target import (
    find_interpreter,
    find_target,
    host_platform,
    supported,
)
from bentofn.runtime.errors import UserError

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_this_machine() -> None:
    found = find_target(None, None)
    assert (found.python, found.platform, found.is_foreign) == (OWN, host_platform(), False)
    named = find_target(f"{OWN}.1", host_platform())
    assert (named.here, named.is_foreign) == (found, False)
    assert found.wheels is None


def test_the_newest_of_pyenvs_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("3.98.9", "3.98.10", "3.98-dev", "3.98.1rc1"):
        prefix = tmp_path / "versions" / version
        (prefix / "bin").mkdir(parents=True)
        python = prefix / "bin" / "python3.98"
        python.write_text(f"#!/bin/sh\necho 3.98\necho {prefix}\n")
        python.chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert find_interpreter("3.98") == tmp_path / "versions" / "3.98.10" / "bin" / "python3.98"


def test_another_platform() -> None:
    other = "linux/amd64" if host_platform() == "linux/arm64" else "linux/arm64"
    found = find_target(None, other)
    assert (found.platform, found.is_foreign) == (other, True)
    assert str(found.wheels).endswith("-manylinux_2_28")
    assert found.here == find_target(None, None)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("linux/x86_64", "linux/amd64"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
    ],
)
def test_names_of_platforms(written: str, meant: str) -> None:
    assert find_target(None, written).platform == meant


@pytest.mark.parametrize(
    ("python", "platform", "says"),
    [
        ("three", None, "write it like 3.12"),
        ("3.9", None, "Python 3.9 is too old"),
        ("3.99", None, "There is no Python 3.99 here"),
        (None, "plan9/mips", "cannot be built on"),
        (None, "arm64", "write it like linux/arm64"),
        (None, "linux/arm/v7", "write it like linux/arm64"),
    ],
)
def test_what_cannot_be_built_for(python: str | None, platform: str | None, says: str) -> None:
    with pytest.raises(UserError, match=says):
        find_target(python, platform)


@given(st.binary(max_size=64))
def test_any_head_is_read(head: bytes) -> None:
    machine_of(head)
    machine_of(b"\x7fELF" + head)


def test_machines(tmp_path: Path) -> None:
    arm = b"\x7fELF\x02\x01" + bytes(12) + b"\xb7\x00"
    big = b"\x7fELF\x02\x02" + bytes(12) + b"\x00\x16"
    assert (machine_of(arm), machine_of(big), machine_of(b"\xcf\xfa\xed\xfe")) == (183, 22, 0)
    (tmp_path / "x.so").write_bytes(arm)
    (tmp_path / "script.so").write_text("INPUT(libx.so.1)")
    files = {name: tmp_path / name for name in ("x.so", "script.so", "absent.so")}
    refuse_other_machines(files, "linux/arm64", "x")
    refuse_other_machines({"x.txt": tmp_path / "x.so"}, "linux/amd64", "x")
    with pytest.raises(UserError, match=r"x\.so is compiled for AArch64, not for linux/amd64"):
        refuse_other_machines(files, "linux/amd64", "go")


def test_a_project_that_asks_for_an_old_python_gets_the_nearest() -> None:
    assert supported("3.9") == (
        "3.10",
        ("Python 3.9 is too old: the bento gets Python 3.10.",),
    )
    assert supported("3.12.4") == ("3.12.4", ())
    assert supported(None) == (None, ())
