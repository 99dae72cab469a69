from __future__ import annotations

import os
import subprocess
import sys

import pytest

FREE = """
import ctypes, resource
from bentofn.runtime import heap
if {settled}:
    heap.settle()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def batch():
    blocks = [libc.malloc(ctypes.c_size_t(7 << 20)) for _ in range(16)]
    for block in blocks:
        ctypes.memset(block, 1, 7 << 20)
    for block in reversed(blocks):
        libc.free(block)
for _ in range(3):
    batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*, settled: bool, **environment: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FREE.format(settled=settled)],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc's heap")
def test_what_a_batch_frees_serves_the_next() -> None:
    assert faults(settled=True) < faults(settled=False) / 10


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc's heap")
def test_a_users_choice_stands() -> None:
    assert faults(settled=True, MALLOC_TRIM_THRESHOLD_="131072") > 1000
