from __future__ import annotations

import pytest

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
