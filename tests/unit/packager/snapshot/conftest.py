from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.packager.home import Home
from bentofn.packager.snapshot.host import HostClass
from bentofn.packager.snapshot.key import Interpreter, SnapshotKey


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def key() -> SnapshotKey:
    return SnapshotKey(
        bento="sha256:" + "0" * 64,
        root="/home/user/.bentofn/roots/0123456789abcdef",
        python=Interpreter("/usr/bin/python3.11", "3.11.7", "1" * 64),
        torch="2.13.0",
        host=HostClass("x86_64", "GenuineIntel", ("avx2", "avx512_bf16"), "6.18.1", "glibc 2.36"),
        criu="4.2.1",
        locale="LANG=C.UTF-8",
        environment="declared:" + "2" * 64,
    )
