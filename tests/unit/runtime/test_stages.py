from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.runtime import stages
from bentofn.runtime.stages import FILE, Stage, asked, begin, end, read, since, stage, telling_to


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Where this process tells of its stages."""
    begin({FILE: str(tmp_path / "stages")})
    yield tmp_path / "stages"
    end()


def test_a_stage_is_told_with_its_times_and_what_was_said_of_it(file: Path) -> None:
    with stage("weights", bytes=3), stage("weights.read"):
        pass
    inner, outer = read(file)
    assert (inner.name, outer.name, outer.details) == ("weights.read", "weights", {"bytes": 3})
    assert outer.began <= inner.began <= inner.ended <= outer.ended
    assert inner.thread_name == threading.current_thread().name


def test_a_stage_that_fails_is_told_with_the_error(file: Path) -> None:
    with pytest.raises(KeyError), stage("lookup"):
        raise KeyError("secret")
    assert read(file)[0].details == {"error": "KeyError"}


def test_stages_of_other_threads_are_told_too(file: Path) -> None:
    def copy() -> None:
        with stage("weights.copy"):
            pass

    thread = threading.Thread(target=copy, name="copier")
    thread.start()
    thread.join()
    assert read(file)[0].thread_name == "copier"


def test_nothing_is_told_before_the_beginning_and_after_the_end(tmp_path: Path) -> None:
    with stage("before"):
        assert not asked()
    begin({FILE: str(tmp_path / "stages")})
    assert asked()
    begin({})  # as a copy does that nobody asks
    since("after", 0)
    assert not asked()
    assert read(tmp_path / "stages") == []


def test_a_stage_that_goes_on_after_the_end_is_written_to_nobody(tmp_path: Path) -> None:
    """Nor to what has the file's descriptor then, such as a connection."""
    begin({FILE: str(tmp_path / "stages")})
    with ExitStack() as opened, stage("call slow"):
        end()
        opened.enter_context((tmp_path / "other").open("wb"))
    assert (tmp_path / "other").read_bytes() == (tmp_path / "stages").read_bytes() == b""


def test_the_file_is_private_and_takes_more_than_one_process(file: Path) -> None:
    since("first", 1)
    code = (
        "import os; from bentofn.runtime import stages; stages.begin(os.environ);"
        "stages.since('second', 1)"
    )
    subprocess.run([sys.executable, "-c", code], env={FILE: str(file)}, check=True, timeout=60)
    assert [each.name for each in read(file)] == ["first", "second"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_opened_keeps_nothing_from_starting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin({FILE: str(tmp_path / "none" / "stages")})
    assert not asked()
    assert FILE in capsys.readouterr().err


def test_what_one_context_listens_to_no_other_tells(file: Path) -> None:
    heard: list[Stage] = []
    with telling_to(heard.append), stage("spawn"):
        pass
    since("outside", 1)
    assert [each.name for each in heard] == ["spawn"]
    assert [each.name for each in read(file)] == ["outside"]


@given(st.lists(st.binary() | st.text().map(str.encode) | st.sampled_from([
    b'{"name": 1, "began": 1, "ended": 2}', b'{"name": "x", "began": 2, "ended": 1}',
    b'{"name": "x", "began": true, "ended": 2}', b"[1, 2]", b'{"name": "x"', b'{"name": "\xff"}',
])))  # fmt: skip
def test_whatever_stands_in_a_file_is_a_stage_or_left_out(lines: list[bytes]) -> None:
    whole = json.dumps({"name": "whole", "began": 1, "ended": 2}).encode()
    parsed = [stages._parse(line) for line in (*lines, whole)]
    assert parsed[-1] == Stage("whole", 1, 2)
    assert all(each is None or each.ended >= each.began for each in parsed)


def test_imports_are_told_each_within_what_imports_it(tmp_path: Path) -> None:
    (tmp_path / "outer_one.py").write_text("import inner_one\nimport json.absent_one\n")
    (tmp_path / "inner_one.py").write_text("import time\ntime.sleep(0.002)\n")
    code = (
        "import os; from bentofn.runtime import stages; stages.begin(os.environ)\n"
        "try:\n    import outer_one\nexcept ModuleNotFoundError as error:\n    print(error.name)"
    )
    env = {FILE: str(tmp_path / "stages"), stages.IMPORTS: "1", "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == "json.absent_one\n"
    told = {each.name: each for each in read(tmp_path / "stages")}
    outer, inner = told["import outer_one"], told["import inner_one"]
    assert outer.began <= inner.began < inner.ended <= outer.ended


def test_calls_of_well_known_modules_are_told_however_they_were_imported(tmp_path: Path) -> None:
    package = tmp_path / "safetensors"
    package.mkdir()
    (package / "__init__.py").write_text("from safetensors.torch import load_file\n")
    slow = "import time\ndef load_file(path):\n    time.sleep(0.002)\n    return path\n"
    (package / "torch.py").write_text(slow)
    models = tmp_path / "transformers"
    models.mkdir()
    (models / "__init__.py").write_text("")
    (models / "modeling_utils.py").write_text(
        "import time\nclass PreTrainedModel:\n    @classmethod\n"
        "    def from_pretrained(cls, name):\n        time.sleep(0.002)\n"
        "        return cls.__name__ + name\n"
    )
    code = (
        "import os; from bentofn.runtime import stages\n"
        "import transformers.modeling_utils as early\n"
        "stages.begin(os.environ); stages.begin(os.environ)\n"
        "class Bert(early.PreTrainedModel): pass\n"
        "from safetensors import load_file; print(load_file('a'), Bert.from_pretrained('b'))"
    )
    env = {FILE: str(tmp_path / "stages"), "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == "a Bertb\n"
    assert [each.name for each in read(tmp_path / "stages")] == ["weights.read", "weights.load"]
