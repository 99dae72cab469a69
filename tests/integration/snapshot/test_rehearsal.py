"""A snapshot's rehearsal asks what the warm-up asked, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from guarded import DOORS
from instances import PYTHON, alive, eventually, make_root

from bentofn.adapters.local.engines import find_python
from bentofn.adapters.local.engines.restored.orphans import end_orphans
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.snapshot.take import take

FORMS = (
    DOORS
    + """
import os
from pathlib import Path
from typing import Annotated
import bentofn
from pydantic import BaseModel

class Order(BaseModel):
    count: int

@bentofn.service(path_prefix="/v1")
class Service:
    def seen(self, *what):
        with Path(os.environ["SEEN"]).open("a") as file:
            print(*what, file=file)

    @bentofn.api(examples=[{"root": {"count": 3}}])
    def order(self, order: Order, /) -> int:
        self.seen("order", order.count)
        return order.count

    @bentofn.api(examples=[{"root": "plain words"}])
    def text(self, text: str, /) -> str:
        self.seen("text", text)
        return text

    @bentofn.api(examples=[{"root": "raw"}])
    def data(self, data: bytes, /) -> int:
        self.seen("data", data)
        return len(data)

    @bentofn.api(examples=[{"numbers": [1, 2]}])
    def add(self, numbers: list[int]) -> int:
        self.seen("add", numbers)
        return sum(numbers)

    @bentofn.task(examples=[{"n": 4}])
    def later(self, n: int) -> int:
        self.seen("later", n)
        with bentofn.monitor("later") as monitor:
            monitor.log(n, "n", "feature", "numerical")
        return n

Service.add_asgi_middleware(Doors)
"""
)


@pytest.fixture
def taken_of(criu: Criu, tmp_path: Path) -> Any:
    """Takes a snapshot of a service, in an environment; gives the lines that it wrote to a file."""

    def taken(code: str, **env: str) -> list[str]:
        seen = tmp_path / "seen"
        root = make_root(tmp_path / "root", code)
        given = {"PATH": os.environ["PATH"], "BENTOFN_ROOT": str(root), "SEEN": str(seen), **env}
        (staging := tmp_path / "snapshots" / "staging").mkdir(parents=True)
        found = take(
            root, find_python(PYTHON), given, criu, staging, staging.with_name("final"), 60.0,
            lambda _, line: print(line),
        )  # fmt: skip
        assert not found.note
        return seen.read_text().splitlines()

    return taken


def test_examples_of_every_form_are_asked_as_they_were_at_the_warm_up(
    taken_of: Any, tmp_path: Path
) -> None:
    once = ["order 3", "text plain words", "data b'raw'", "add [1, 2]", "later 4"]
    state = tmp_path / "state"
    assert taken_of(FORMS, BENTOFN_STATE=str(state)) == once * 2
    assert not state.exists()


FORGETFUL = """
import bentofn
from bentofn.exceptions import InvalidArgument

@bentofn.service
class Service:
    ready = True

    @bentofn.before_snapshot
    def close(self):
        self.ready = False

    @bentofn.api(examples=[{"text": "hi"}])
    def ask(self, text: str) -> str:
        if not self.ready:
            raise InvalidArgument("it was closed")
        return text

    @bentofn.api
    def ping(self) -> list:
        return ["pong"]
"""


@pytest.mark.usefixtures("criu")
def test_an_example_that_is_refused_after_the_restore_refuses_the_snapshot(platform: Any) -> None:
    built = platform.build("forgetful", {"service.py": FORGETFUL})
    platform.deploy(built.tag, "forgetful", snapshot="auto")
    note = platform.settled("forgetful").note
    assert "what was restored from it did not answer: The example {'text': 'hi'}" in note
    assert "(/ask) is answered with 400" in note
    assert "it was closed" in note
    assert platform.call("/forgetful/ping")[0] == ["pong"]
    assert built.tag not in {each.origin.bento for each in SnapshotStore(platform.home).list()}


COMPOSED = """
import os
from pathlib import Path
import bentofn

def record(name, text):
    with bentofn.monitor(name) as monitor:
        monitor.log(text, "text", "feature", "categorical")
    with Path(os.environ["SEEN"]).open("a") as file:
        print(name, text, file=file)

@bentofn.service
class Inner:
    @bentofn.api(examples=[{"text": "inner example"}])
    def shout(self, text: str) -> str:
        record("inner", text)
        return text.upper()

    @bentofn.api
    async def letters(self, text: str):
        record("letters", text)
        for letter in text:
            yield letter

@bentofn.service
class Service:
    inner = bentofn.depends(Inner)

    @bentofn.api(examples=[{"text": "entry example"}])
    async def ask(self, text: str) -> list[str]:
        record("entry", text)
        shouted = await self.inner.to_async.shout(text)
        return [shouted, *[letter async for letter in self.inner.letters("ab")]]
"""


@pytest.mark.usefixtures("criu")
def test_services_of_a_bento_answer_their_own_examples_and_record_none(
    platform: Any, tmp_path: Path
) -> None:
    built = platform.build("composed", {"service.py": COMPOSED})
    seen = tmp_path / "seen"
    variables = {"SEEN": str(seen), "BENTOFN_STATE": str(tmp_path)}
    seen.touch()  # by the build
    platform.deploy(built.tag, "composed", snapshot="criu", environment=variables)
    asked = seen.read_text().splitlines()
    assert asked.count("inner inner example") == 2, asked
    assert asked.count("entry entry example") == 2, asked
    assert asked.count("inner entry example") == 2, asked
    assert not list(tmp_path.rglob("*.log"))

    assert platform.call("/composed/ask", text="caller")[0] == ["CALLER", "a", "b"]
    rows = {path.parts[-3]: path.read_text() for path in tmp_path.rglob("data.*.log")}
    texts = {name: json.loads(text)["text"] for name, text in rows.items()}
    assert texts == {"inner": "caller", "entry": "caller", "letters": "ab"}


ORPHAN = """
import sys
import threading
from pathlib import Path
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.rehearsal import rehearse

begun, owner = map(Path, sys.argv[1:])
script = f"echo $$ > {begun}; kill -9 $PPID; exec sleep 600"
criu = Criu(("sh", "-c", script), "4.2", Path("/bin/sh"))
rehearse(owner, criu, owner, {}, 60.0, print, threading.Event())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root restores")
def test_what_is_left_of_a_killed_rehearsal_is_ended_by_the_next_platform(tmp_path: Path) -> None:
    (snapshots := tmp_path / "snapshots").mkdir()
    begun = tmp_path / "begun"
    arguments = [sys.executable, "-c", ORPHAN, str(begun), str(snapshots)]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    pid = int(eventually(lambda: begun.exists() and begun.read_text()))
    assert alive(pid)

    def ended() -> bool:
        end_orphans(snapshots)
        return not alive(pid)

    eventually(ended)
