from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bentofn.adapters.local.interpreter import boot_command, find_python
from bentofn.runtime.errors import UserError


def test_the_running_version_is_found_outside_its_virtual_environment() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = find_python(version)
    code = "import sys; print(sys.prefix == sys.base_prefix, *sys.version_info[:2])"
    answer = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True).stdout
    assert answer == f"True {version.replace('.', ' ')}\n"


def test_a_version_that_nobody_has_is_the_users_to_mend() -> None:
    with pytest.raises(UserError, match=r"no Python 3\.2 here.*uv python install 3\.2"):
        find_python("3.2")


def test_a_process_is_started_isolated() -> None:
    command = boot_command(Path("/usr/bin/python3"), Path("/opt/bento"), "serve", "--port", "1")
    assert command == [
        "/usr/bin/python3",
        *("-I", "-S", "-u", "/opt/bento/runtime/bentofn/runtime/boot.py"),
        *("serve", "--port", "1"),
    ]
