"""filelock, with which torch and huggingface_hub lock their caches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bentofn.runtime.namespaces import Namespaces

COPY = """
import os, sys, threading
from filelock import FileLock
from bentofn.runtime.namespaces import Namespaces
from bentofn.runtime.renew.identity import find_identity


def fork():
    with Namespaces.find().for_children():
        pid = os.fork()
    if pid:
        os._exit(os.waitpid(pid, 0)[1] != 0)

def lock():
    with FileLock(sys.argv[1]):
        pass

fork()
lock()
renewals = find_identity()
fork()
assert os.getpid() == 1
for renewal in renewals:
    renewal()
thread = threading.Thread(target=lock)  # the one that forked does not wait for itself
thread.start()
thread.join()
os._exit(0)
"""


@pytest.mark.skipif(Namespaces.find() is None, reason="only root may make pid namespaces here")
def test_a_copy_with_the_process_id_of_its_original_can_lock_files(tmp_path: Path) -> None:
    pytest.importorskip("filelock", reason="filelock is not installed")
    ended = subprocess.run(
        [sys.executable, "-c", COPY, str(tmp_path / "lock")], timeout=30, check=False
    )
    assert ended.returncode == 0
