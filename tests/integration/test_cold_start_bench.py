"""`bentofn bench cold-start`, as a user runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from serve_command import said_url
from trace_events import slices_of

from bentofn.packager.home import Home
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.runtime.stages import FILE, read

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

SERVICE = """
import time
import bentofn
import heavy

@bentofn.service
class Echo:
    def __init__(self):
        self.table = bytes(range(256)) * 4096

    @bentofn.after_restore
    def reopen(self):
        pass

    @bentofn.api(examples=[{"text": "hi"}])
    def echo(self, text: str = "hello") -> str:
        return text
"""

HEAVY = "import time\nimport heavier\ntime.sleep(0.002)\n"
HEAVIER = "import time\ntime.sleep(0.002)\n"

PLAIN = {
    "process", "interpreter", "boot", "import", "construct", "warm-up", "on_startup", "bind",
    "request", "answer",
}  # fmt: skip
COPY = {"orders", "environment", "renew", "after_restore", "bind", "request", "answer"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, bentofn: Bentofn) -> Home:
    """With a bento, `echo`."""
    folder = tmp_path_factory.mktemp("echo")
    (project := folder / "project").mkdir()
    (project / "service.py").write_text(SERVICE)
    (project / "heavy.py").write_text(HEAVY)
    (project / "heavier.py").write_text(HEAVIER)
    (project / "bentofile.yaml").write_text("service: service:Echo\nname: echo\n")
    bentofn("build", str(project), home=folder / "home")
    return Home(folder / "home")


def measured(bentofn: Bentofn, home: Home, *options: str) -> dict[str, Any]:
    done = bentofn("bench", "cold-start", "echo", "-n", "2", "--json", *options, home=home.path)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def names(start: dict[str, Any]) -> set[str]:
    return {stage["stage"][-1] for stage in start["stages"]}


def named(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (one,) = (each for each in found if each["name"] == name)
    return one


def within(inner: dict[str, Any], outer: dict[str, Any]) -> bool:
    ends = inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"]
    return inner["ts"] >= outer["ts"] and ends


def test_plain_and_forked_starts_are_told_stage_by_stage(
    bentofn: Bentofn, home: Home, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.json"
    document = measured(bentofn, home, "--snapshot", "template", "--trace", str(trace))
    assert list(document["starts"]) == ["plain", "template"]
    plain, forked = document["starts"].values()
    assert names(plain) >= PLAIN
    assert names(forked) >= {*COPY, "fork"}
    assert not names(forked) & {"import", "construct", "warm-up"}
    assert 0 < plain["min_ms"] <= plain["median_ms"] <= plain["max_ms"]
    assert not [name for name in names(plain) if name.startswith("import ")]  # costs nothing here
    found = slices_of(json.loads(trace.read_text()))
    heavy, heavier = named(found, "import heavy"), named(found, "import heavier")
    assert within(heavier, heavy)
    assert within(heavy, named(found, "import"))
    whole = named(found, "cold start, plain")
    of_plain = [each for each in found if each["pid"] == heavy["pid"]]
    assert all(within(each, whole) for each in of_plain if each["name"] != "answer")


def test_restored_starts_are_told_stage_by_stage(
    bentofn: Bentofn, home: Home, criu: Criu, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.json"
    document = measured(bentofn, home, "--snapshot", "criu", "--trace", str(trace))
    restored = document["starts"]["criu"]
    assert names(restored) >= {*COPY, "restore", "restore.criu"}
    assert not names(restored) & {"import", "construct", "warm-up"}
    found = slices_of(json.loads(trace.read_text()))
    whole = named(found, "cold start, criu")
    assert within(named(found, "orders"), whole)
    assert within(named(found, "restore"), whole)


def test_a_function_that_may_only_start_plainly_is_measured_alone(
    bentofn: Bentofn, home: Home
) -> None:
    done = bentofn("bench", "cold-start", "echo", "-n", "1", "--snapshot", "none", home=home.path)
    assert done.stdout.startswith("PLAIN")
    assert "interpreter" in done.stdout
    assert "TEMPLATE" not in done.stdout


def test_why_it_does_not_start_in_a_faster_way_is_told(bentofn: Bentofn, home: Home) -> None:
    command = ("bench", "cold-start", "echo", "-n", "1", "--json")
    done = bentofn(*command, home=home.path, BENTOFN_CRIU="/nowhere/criu")
    document = json.loads(done.stdout)
    assert list(document["starts"]) == ["plain", "template"]
    assert "/nowhere/criu" in document["note"]


def test_what_cannot_be_meant_is_said_in_one_sentence(bentofn: Bentofn, home: Home) -> None:
    none = bentofn("bench", "cold-start", home=home.path, check=False)
    assert (none.returncode, none.stderr) == (
        1, "Error: Name a function or a bento; deployed: none.\n",
    )  # fmt: skip
    unknown = bentofn("bench", "cold-start", "absent", home=home.path, check=False)
    assert unknown.returncode == 1
    assert "absent" in unknown.stderr
    nowhere = ("bench", "cold-start", "echo", "--trace", "/none/trace.json")
    refused = bentofn(*nowhere, home=home.path, check=False)
    assert (refused.returncode, refused.stderr) == (
        1, "Error: /none/trace.json cannot be written: /none is no folder to write to.\n",
    )  # fmt: skip


def test_a_service_that_does_not_start_is_told_with_its_line_and_leaves_no_trace(
    bentofn: Bentofn, home: Home, tmp_path: Path
) -> None:
    (tmp_path / "service.py").write_text(
        "import os\nimport bentofn\n@bentofn.service\nclass Broken:\n"
        "    def __init__(self):\n        self.url = os.environ['ABSENT']\n"
    )
    bentofn("build", str(tmp_path), home=home.path)
    command = ("bench", "cold-start", "broken", "--trace", str(tmp_path / "trace.json"))
    done = bentofn(*command, home=home.path, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(
        r"Error: broken:\w+ does not start: KeyError: 'ABSENT' \(service\.py:6\)\.", last
    )
    assert not (tmp_path / "trace.json").exists()


def test_a_bento_that_is_served_tells_of_its_start_up_to_the_end_of_its_first_request(
    home: Home, tmp_path: Path
) -> None:
    env = {**os.environ, "BENTOFN_HOME": str(home.path), FILE: str(tmp_path / "stages")}
    with said_url(tmp_path, ("serve", "echo", "--port", "0"), env) as url:
        for text in ("one", "two"):
            assert httpx.post(f"{url}/echo", json={"text": text}, timeout=60).text == text
    told = [each.name for each in read(tmp_path / "stages")]
    assert told[0] == "boot"
    assert {"import", "construct", "warm-up", "bind"} <= set(told)
    assert (told[-1], told.count("answer"), told.count("call echo")) == ("answer", 1, 2)
