from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.home import Home
from bentofn.packager.snapshot.host import HostClass
from bentofn.packager.snapshot.key import (
    Interpreter,
    SnapshotKey,
    describe_interpreter,
    environment_digest,
    locale_of,
    torch_version,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot

words = st.text("abcxyz019._-/", min_size=1, max_size=6)
hosts = st.builds(
    HostClass,
    machine=words,
    vendor=words,
    features=st.lists(words, unique=True, max_size=4).map(lambda names: tuple(sorted(names))),
    kernel=words,
    libc=words,
    driver=words,
)
keys = st.builds(
    SnapshotKey,
    bento=words,
    root=words,
    python=st.builds(Interpreter, words, words, words),
    torch=words,
    host=hosts,
    criu=words,
    locale=words,
    environment=words,
    format=st.integers(1, 3),
)
MACHINE = {"PATH": "/bin", "HOME": "/root", "LANG": "C.UTF-8"}


@given(keys)
def test_a_key_survives_json(key: SnapshotKey) -> None:
    assert SnapshotKey.from_json(json.loads(json.dumps(key.to_json()))) == key


@given(keys, keys)
def test_two_keys_fit_exactly_where_they_have_one_id(one: SnapshotKey, other: SnapshotKey) -> None:
    assert (one.mismatch(other) is None) == (one == other) == (one.id == other.id)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(keys, st.data())
def test_what_is_no_key_is_refused_without_surprise(key: SnapshotKey, data: Any) -> None:
    raw = key.to_json()
    raw[data.draw(st.sampled_from(sorted(raw)))] = data.draw(json_values)
    with contextlib.suppress(KeyError, TypeError, ValueError):
        SnapshotKey.from_json(raw)


def test_an_id_is_a_short_name_for_a_folder(key: SnapshotKey) -> None:
    assert len(key.id) == 32
    assert set(key.id) <= set("0123456789abcdef")


def test_the_sentence_names_what_differs(key: SnapshotKey) -> None:
    here = replace(key, host=replace(key.host, features=("avx2",)))
    assert key.mismatch(here) == "was taken on a CPU with avx512_bf16, which this one lacks"
    assert "paths must be the same" in str(key.mismatch(replace(key, root="/other")))
    assert (
        key.mismatch(replace(key, torch="")) == "was taken with torch 2.13.0, and here is no torch"
    )


def test_a_declared_environment_has_one_digest_on_every_machine(tmp_path: Path) -> None:
    declared = {"MODE": "fast"}
    one, other = Home(tmp_path / "one"), Home(tmp_path / "other")
    env = {**MACHINE, **declared, "BENTOFN_FUNCTION": "f", "BENTOFN_ROOT": "/r"}
    there = {**env, "PATH": "/usr/bin", "HOME": "/home/user", "BENTOFN_FUNCTION": "g"}
    digest = environment_digest(one, env, declared, MACHINE)
    assert digest.startswith("declared:")
    assert digest == environment_digest(other, there, declared, there)


def test_a_secret_cannot_be_guessed_from_the_digest(tmp_path: Path) -> None:
    one, other = Home(tmp_path / "one"), Home(tmp_path / "other")
    env = {**MACHINE, "TOKEN": "secret"}
    digest = environment_digest(one, env, {}, MACHINE)
    assert digest.startswith("keyed:")
    assert digest == environment_digest(one, env, {}, MACHINE)
    assert digest != environment_digest(other, env, {}, MACHINE)
    assert (one.snapshots / "environment.key").stat().st_mode & 0o777 == 0o600
    assert one.snapshots.stat().st_mode & 0o777 == 0o700


def test_a_variable_of_the_machine_that_a_function_sets_counts(home: Home) -> None:
    env = {**MACHINE, "PATH": "/opt/mine"}
    assert environment_digest(home, env, {}, MACHINE).startswith("keyed:")


def test_variables_need_not_be_text(home: Home) -> None:
    env = {"ODD": "\udcff"}
    assert environment_digest(home, env, {}, {}) != environment_digest(home, {}, {}, {})


def test_locales_are_told_in_the_open(key: SnapshotKey) -> None:
    assert locale_of({"TZ": "UTC", "LANG": "C.UTF-8", "X": "y"}) == "LANG=C.UTF-8 TZ=UTC"
    sentence = "was taken with LANG=C.UTF-8, and here is no locale set"
    assert key.mismatch(replace(key, locale="")) == sentence


def test_an_interpreter_says_its_version(tmp_path: Path) -> None:
    found = describe_interpreter(Path(sys.executable))
    assert found.version.startswith(f"3.{sys.version_info.minor}.")
    assert found.path == str(Path(sys.executable).resolve())
    with pytest.raises(UserError, match="does not run"):
        describe_interpreter(tmp_path / "python")


def test_the_version_of_torch_is_in_the_environment(tmp_path: Path) -> None:
    root = BentoRoot(tmp_path)
    assert torch_version(root) == ""
    (root.environment / "torch-2.13.0+cpu.dist-info").mkdir(parents=True)
    (root.environment / "torchvision-1.0.dist-info").mkdir()
    assert torch_version(root) == "2.13.0+cpu"
