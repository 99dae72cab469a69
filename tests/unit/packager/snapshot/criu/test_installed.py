"""Which CRIU is found, in which order, and what its version says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.snapshot.criu.check import too_old
from bentofn.packager.snapshot.criu.installed import (
    Criu,
    criu_at,
    installed_criu,
    parse_version,
    version_key,
)

NUMBERS = st.lists(st.integers(0, 999), min_size=1, max_size=4)


def program(path: Path, version: str) -> Path:
    """A program that says a version, as CRIU does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho Version: {version}\necho GitID: v{version}-1-gabc\n")
    path.chmod(0o755)
    return path


@given(NUMBERS, st.text(max_size=20).filter(lambda text: "Version" not in text))
def test_a_version_is_read_from_what_criu_prints(numbers: list[int], rest: str) -> None:
    version = ".".join(map(str, numbers))
    assert parse_version(f"Version: {version}\nGitID: {rest}\n") == version


@given(st.text(max_size=60))
def test_any_output_is_read_or_refused(output: str) -> None:
    version = parse_version(output)
    assert version is None or version_key(version) is not None


@given(NUMBERS, NUMBERS)
def test_versions_are_ordered_by_their_numbers(one: list[int], other: list[int]) -> None:
    keys = [version_key(".".join(map(str, numbers))) for numbers in (one, other)]
    length = max(len(one), len(other))
    padded = [numbers + [0] * (length - len(numbers)) for numbers in (one, other)]
    assert (keys[0] < keys[1]) == (padded[0] < padded[1])
    assert (keys[0] == keys[1]) == (padded[0] == padded[1])


@pytest.mark.parametrize("version", ["3.17.1", "4.1.1", "4.1"])
def test_a_criu_that_fails_on_current_kernels_is_too_old(version: str) -> None:
    said = too_old(Criu(("/usr/sbin/criu",), version, Path("/usr/sbin/criu")))
    assert said is not None
    assert f"CRIU {version} (/usr/sbin/criu) is too old" in said
    assert "bentofn snapshot setup" in said


@pytest.mark.parametrize("version", ["4.2", "4.2.1", "4.10", "5.0"])
def test_a_current_criu_is_new_enough(version: str) -> None:
    assert too_old(Criu(("criu",), version, Path("criu"))) is None


def test_ours_come_first_and_the_newest_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = [program(tmp_path / "ours" / name / "criu", name) for name in ("4.2.1", "4.10")]
    (tmp_path / "ours" / ".bentofn-tmp-1").mkdir()
    system = program(tmp_path / "bin" / "criu", "9.0")
    monkeypatch.setenv("PATH", str(system.parent))
    found = list(installed_criu(tmp_path / "ours"))
    assert [each.path for each in found] == [ours[1], ours[0], system]
    assert [each.version for each in found] == ["4.10", "4.2.1", "9.0"]


def test_a_program_with_its_own_linker_is_started_through_it(tmp_path: Path) -> None:
    path = program(tmp_path / "4.2.1" / "criu", "0.1")
    loader = program(tmp_path / "4.2.1" / "lib" / "ld.so", "4.2.1")
    facts = {"version": "4.2.1", "loader": "lib/ld.so", "libraries": "lib", "program": "sbin/criu"}
    (path.parent / "criu.json").write_text(json.dumps(facts))
    found = criu_at(path)
    assert found is not None
    assert found.version == "4.2.1"
    assert found.command[0] == str(loader)
    assert found.command[-1] == str(path.parent / "sbin" / "criu")


@pytest.mark.parametrize("facts", ["", "[]", "{}", '{"loader": 1}', "\x00"])
def test_damaged_facts_leave_the_program_as_it_is(tmp_path: Path, facts: str) -> None:
    path = program(tmp_path / "4.2.1" / "criu", "4.2.1")
    (path.parent / "criu.json").write_text(facts)
    found = criu_at(path)
    assert found is not None
    assert found.command == (str(path),)


def test_a_new_program_in_the_same_place_is_asked_again(tmp_path: Path) -> None:
    path = program(tmp_path / "criu", "3.17.1")
    assert criu_at(path) == Criu((str(path),), "3.17.1", path)
    path.unlink()
    assert criu_at(path) is None
    program(path, "4.2.10")
    assert criu_at(path) == Criu((str(path),), "4.2.10", path)


def test_what_says_no_version_is_no_criu(tmp_path: Path) -> None:
    silent = tmp_path / "criu"
    silent.write_text("#!/bin/sh\nexit 3\n")
    silent.chmod(0o755)
    assert criu_at(silent) is None
    assert criu_at(tmp_path) is None
