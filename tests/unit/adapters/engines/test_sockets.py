from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bentofn.adapters.local.engines.sockets import PATH_MAX, listen, socket_path
from bentofn.runtime.errors import UserError


def test_a_path_that_the_system_cannot_bind_is_refused() -> None:
    directory = Path("/") / ("d" * (PATH_MAX - len("/" + "/i.sock")))
    assert len(str(socket_path(directory, "i"))) == PATH_MAX
    with pytest.raises(UserError, match="set BENTOFN_HOME to a shorter directory"):
        socket_path(directory, "ii")


def test_a_socket_left_by_a_dead_platform_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("run") / "i.sock"
    listen(path).close()
    with listen(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert path.parent.stat().st_mode & 0o777 == 0o700
