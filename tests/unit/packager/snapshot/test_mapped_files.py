from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import pytest

from bentofn.packager.snapshot.take import mapped_files


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc/<pid>/maps")
def test_files_are_found_whatever_they_are_called(tmp_path: Path) -> None:
    names = [b"plain", b"not \xff utf-8", b"line\x0bbreak and blanks  "]
    paths = {tmp_path / os.fsdecode(name) for name in names}
    maps = []
    for path in paths:
        path.write_bytes(b"x")
        with path.open("rb") as file:
            maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    assert paths <= set(mapped_files(os.getpid()))
    for each in maps:
        each.close()
