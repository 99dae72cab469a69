"""A service that cannot be snapshotted: what its build says, and what its function says."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

STORE = """
import socket

class Store:
    def __init__(self) -> None:
        self.connection = socket.create_connection(("localhost", {port}))
"""

SERVICE = """
import bentofn
from store import Store

@bentofn.service
class Service:
    def __init__(self) -> None:
        self.store = Store()

    @bentofn.api(examples=[{"text": "hi"}])
    def say(self, text: str) -> list:
        return [text]
"""

MOVED = SERVICE.replace("    def __init__", "    @bentofn.after_restore\n    def connect")


@pytest.mark.usefixtures("criu")
def test_a_connection_is_named_by_the_build_and_the_function_until_it_is_moved(
    platform: Any, bentofn: Callable[..., Any]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        files = {"service.py": SERVICE, "store.py": STORE.format(port=port)}
        built = platform.build("connected", files)
        (warning,) = built.warnings
        holds = f"the service holds a connection to localhost:{port}, opened in store.py:6"
        assert f"No snapshot of this service can be restored: {holds}" in warning
        assert "open it in a method marked @bentofn.after_restore" in warning
        assert platform.build("connected", files).warnings == (warning,)
        inspected = bentofn("inspect", built.tag, "--json", home=platform.home.path)
        assert json.loads(inspected.stdout)["obstacles"] == [warning]

        platform.deploy(built.tag, "connected", snapshot="auto")
        platform.call("/connected/say", text="one")
        note = platform.settled("connected").note
        assert holds in note or f"localhost:{port} from store.py:6" in note
        assert platform.call("/connected/say", text="two")[0] == ["two"]

        moved = platform.build("connected", files | {"service.py": MOVED})
        assert moved.warnings == ()
        platform.deploy(moved.tag, "connected", snapshot="criu")
        assert platform.call("/connected/say", text="three")[0] == ["three"]


def test_an_unchanged_opener_is_not_looked_for_again(platform: Any) -> None:
    code = SERVICE.replace("self.store = Store()", "self.file = open('log', 'a')")
    files = {"service.py": code.replace("from store import Store\n", "")}
    (warning,) = platform.build("opened", files).warnings
    assert "/log open for writing, which all copies would write, opened in service.py:7" in warning
    changed = files["service.py"].replace("[text]", "[text.upper()]")
    assert platform.build("opened", {"service.py": changed}).warnings == (warning,)


def test_what_native_code_opens_is_looked_for_once_more(platform: Any) -> None:
    opening = "__import__('ctypes').CDLL(None).socket(2, 1, 0)"
    code = SERVICE.replace(
        "self.store = Store()",
        f"""self.socket = {opening}
        __import__("ctypes").CDLL(None).listen(self.socket, 1)""",
    )
    code = code.replace("from store import Store\n", "")
    (warning,) = platform.build("native", {"service.py": code}).warnings
    assert "listens on port" in warning
    assert ", opened in service.py:7 (" in warning


def test_a_hook_that_fails_is_a_warning_of_the_build(platform: Any) -> None:
    hook = "    @bentofn.before_snapshot\n    def close(self):\n        raise ValueError('no')\n\n"
    code = SERVICE.replace("    def __init__", f"{hook}    def __init__")
    code = code.replace("Store()", "1").replace("from store import Store\n", "")
    (warning,) = platform.build("hooked", {"service.py": code}).warnings
    assert "No snapshot of this service can be taken: the before_snapshot hook" in warning


LOCKED = """
import multiprocessing, tempfile, time
import bentofn

@bentofn.service
class Service:
    def __init__(self) -> None:
        self.lock = multiprocessing.get_context("fork").Lock()
        self.file = tempfile.TemporaryFile()
        self.file.write(b"kept")

    @bentofn.api(examples=[{"text": "hi"}])
    def say(self, text: str) -> list:
        with self.lock:
            self.file.seek(0)
            time.sleep(0.2)
            return [text, self.file.read().decode()]
"""


@pytest.mark.usefixtures("criu")
def test_many_copies_of_a_service_with_nameless_files_start_at_once(platform: Any) -> None:
    built = platform.build("locked", {"service.py": LOCKED})
    assert built.warnings == ()
    settings = {"snapshot": "criu", "idle_timeout": 0.2, "concurrency": 1, "max_instances": 8}
    platform.deploy(built.tag, "locked", **settings)
    platform.wait_for_zero("locked")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: platform.call("/locked/say", text=str(n)), range(8)))
    assert [answer for answer, _ in answers] == [[str(n), "kept"] for n in range(8)]
    assert "not restored" not in platform.log("locked")
