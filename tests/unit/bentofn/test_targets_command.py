from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bentofn.commands.targets import targets
from bentofn.runtime.errors import UserError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOFN_HOME", str(tmp_path))


def test_targets_are_listed_with_how_much_they_take() -> None:
    said = CliRunner().invoke(targets, []).output
    assert re.search(r"^local +\d+ +\d+ +\d+ +\d+$", said, re.MULTILINE)


def test_one_target_says_what_it_does_with_each_field_and_why_not() -> None:
    said = CliRunner().invoke(targets, ["local"]).output
    assert re.search(r"^memorySize +native +a limit", said, re.MULTILINE)
    assert re.search(r"^secrets ssm +refused +its value is in a store", said, re.MULTILINE)
    (document,) = json.loads(CliRunner().invoke(targets, ["local", "--json"]).output)
    supports = {each["field"]: each["support"] for each in document["fields"]}
    assert (document["target"], supports["gpu"]) == ("local", "emulated")


def test_an_unknown_target_is_refused() -> None:
    result = CliRunner().invoke(targets, ["moon"])
    assert isinstance(result.exception, UserError)
    assert "no target named 'moon'" in str(result.exception)
