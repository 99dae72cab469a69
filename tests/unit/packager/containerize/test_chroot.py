from __future__ import annotations

import os
import sys

import pytest

from bentofn.packager.containerize.chroot import why_not


@pytest.mark.skipif(sys.platform != "linux", reason="nothing else has these namespaces")
def test_another_platform_or_user_is_a_reason() -> None:
    assert "this machine is linux/amd64" in str(why_not("linux/riscv64", "linux/amd64"))
    needs_root = why_not("linux/amd64", "linux/amd64") == "that needs root here"
    assert needs_root == (os.geteuid() != 0)
