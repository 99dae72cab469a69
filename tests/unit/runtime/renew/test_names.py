from __future__ import annotations

import logging
import multiprocessing
import os
import platform
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from bentofn.runtime.renew import find, renew, renew_environment
from bentofn.runtime.renew.names import find_names


def test_no_two_copies_give_one_name(forks: Any) -> None:
    names = find_names()

    def keys() -> list[str]:
        return [bytes(multiprocessing.current_process().authkey).hex()]

    def renewed() -> list[str]:
        renew(names)
        return [*keys(), *(str(uuid.uuid1()) for _ in range(3)), str(uuid.uuid4())]

    one, other = forks(keys)
    assert one == other
    one, other = forks(renewed)
    assert not set(one) & set(other)


@pytest.mark.skipif(not hasattr(uuid, "_generate_time_safe"), reason="of the C library libuuid")
def test_libuuids_clock_is_told_apart_for_each_uuid(forks: Any) -> None:
    if uuid._generate_time_safe is None:  # type: ignore[attr-defined]
        pytest.skip("this Python is built without libuuid")
    uuid.uuid1()

    def sequences() -> list[int]:
        return [uuid.uuid1().clock_seq for _ in range(8)]

    one, other = forks(sequences)
    assert len(set(one)) == len(set(other)) == 1
    names = find_names()

    def renewed() -> list[Any]:
        renew(names)
        made = [uuid.uuid1() for _ in range(8)]
        assert all(each.version == 1 and each.variant == uuid.RFC_4122 for each in made)
        return [each.clock_seq for each in made]

    assert all(len(set(drawn)) > 1 for drawn in forks(renewed))


def test_temporary_files_follow_the_environment_of_now(tmp_path: Path, forks: Any) -> None:
    for name in ("before", "after"):
        (tmp_path / name).mkdir()

    def renewed() -> list[str]:
        renew_environment({**os.environ, "TMPDIR": str(tmp_path / "before")})
        tempfile.tempdir = None
        directories = [tempfile.gettempdir()]
        names = find_names()
        renew(names)
        directories.append(tempfile.gettempdir())
        renew_environment({**os.environ, "TMPDIR": str(tmp_path / "after")})
        renew(names)
        tempfile.tempdir, chosen = "chosen by the service", tempfile.gettempdir()
        find_names()[0]()
        return [*directories, chosen, tempfile.gettempdir()]

    [directories] = forks(renewed, 1)
    assert directories == [
        str(tmp_path / "before"),
        str(tmp_path / "before"),
        str(tmp_path / "after"),
        "chosen by the service",
    ]


def test_the_host_is_looked_at_again(forks: Any) -> None:
    platform.uname()
    platform.platform()

    def renewed() -> list[object]:
        platform._uname_cache = platform._uname_cache._replace(node="gone")  # type: ignore[attr-defined]
        prometheus_client.PROCESS_COLLECTOR._btime = 0  # type: ignore[attr-defined]
        logging._startTime -= 3600 * (10**9 if sys.version_info >= (3, 13) else 1)  # type: ignore[attr-defined]
        renew(find(None))
        record = logging.makeLogRecord({})
        assert abs(record.relativeCreated) < 3_000_000
        started = prometheus_client.PROCESS_COLLECTOR._btime  # type: ignore[attr-defined]
        return [platform.node(), started]

    [[node, started]] = forks(renewed, 1)
    assert node == os.uname().nodename
    if Path("/proc/stat").exists():
        lines = Path("/proc/stat").read_text().splitlines()
        [expected] = [int(line.split()[1]) for line in lines if line.startswith("btime")]
        assert abs(started - expected) <= 1
