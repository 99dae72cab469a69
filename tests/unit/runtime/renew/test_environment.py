from __future__ import annotations

import ctypes
import os
import time
from typing import Any

from bentofn.runtime.renew import renew_environment


def test_the_environment_is_the_given_one_in_python_and_in_c(forks: Any) -> None:
    def renewed() -> list[object]:
        os.environ.update(GONE="1", CHANGED="before", TZ="UTC")
        time.tzset()
        renew_environment({"CHANGED": "after", "NEW": "1", "TZ": "Asia/Tokyo"})
        libc = ctypes.CDLL(None)
        libc.getenv.restype = ctypes.c_char_p
        in_c = [libc.getenv(name) for name in (b"GONE", b"CHANGED", b"NEW")]
        return [dict(os.environ), [value and value.decode() for value in in_c], time.timezone]

    [[environ, in_c, offset]] = forks(renewed, 1)
    assert environ == {"CHANGED": "after", "NEW": "1", "TZ": "Asia/Tokyo"}
    assert in_c == [None, "after", "1"]
    assert offset == -9 * 3600
