from __future__ import annotations

from pathlib import Path

import pytest

import bentofn
from bentofn.runtime import server
from bentofn.runtime.errors import UserError


def test_a_port_in_use_is_the_users_to_mend() -> None:
    with server.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} is in use by another process; choose"):
            server.listen("127.0.0.1", port)


def test_an_impossible_address_is_explained() -> None:
    with pytest.raises(UserError, match=r"Cannot listen on 256\.1\.1\.1:80"):
        server.listen("256.1.1.1", 80)


def test_only_what_one_process_serves_waits_to_be_checkpointed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_CHECKPOINT", str(tmp_path / "ready"))
    service = bentofn.service(workers=2)(type("Echo", (), {}))
    with pytest.raises(UserError, match="for what one process serves, and Echo has several; set"):
        server.serve_service(service, None, 0)
