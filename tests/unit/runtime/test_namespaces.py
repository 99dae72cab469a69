from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

USER_NAMESPACE = ["unshare", "--user", "--map-root-user"]


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*USER_NAMESPACE, "true"], capture_output=True, check=False).returncode != 0,
    reason="no user namespaces may be made here",
)
def test_root_of_a_user_namespace_makes_none_that_it_could_not_leave() -> None:
    looks = "from bentofn.runtime.namespaces import Namespaces; print(Namespaces.find())"
    done = subprocess.run(
        [*USER_NAMESPACE, sys.executable, "-c", looks], capture_output=True, text=True, check=True
    )
    assert done.stdout == "None\n"
