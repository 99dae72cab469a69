"""Which function `bentofn bench cold-start` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.adapters.local.state import State
from bentofn.adapters.local.timeline.cold_starts import spec_of
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """With one function deployed."""
    home = Home(tmp_path / "home")
    settings = FunctionSettings(snapshot="template", environment={"WORD": "a"})
    State(home).add(FunctionSpec("words", "texts:1", settings), "sha256:1")
    return home


def test_the_only_deployed_function_needs_no_name(home: Home) -> None:
    assert spec_of(home, None, None) == spec_of(home, "words", None)
    State(home).add(FunctionSpec("more", "texts:1"), "sha256:1")
    with pytest.raises(UserError, match="deployed: more, words"):
        spec_of(home, None, None)


def test_a_function_starts_as_it_is_deployed_unless_told_otherwise(home: Home) -> None:
    found = spec_of(home, "words", None)
    assert (found.bento, found.settings.snapshot) == ("texts:1", "template")
    told = spec_of(home, "words", "criu")
    assert (told.settings.snapshot, told.settings.environment) == ("criu", {"WORD": "a"})


def test_what_is_no_function_is_a_bento(home: Home) -> None:
    found = spec_of(home, "texts:1", None)
    assert (found.name, found.bento, found.settings.snapshot) == ("texts", "texts:1", "auto")
