"""What is kept of a deployment."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.modal.desired import volume_name
from bentofn.adapters.modal.record import (
    Record,
    bento_of_path,
    digest_of_tag,
    fingerprint,
    without_values,
)
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.secret import Secret

TAG = re.compile(r"[a-zA-Z0-9._-]{1,50}\Z")
"""What Modal takes as the tag of a deployment."""

digests = st.binary(min_size=32, max_size=32).map(lambda data: f"sha256:{data.hex()}")


def record(digest: str, **values: str) -> Record:
    settings = FunctionSettings(secrets={"KEY": Secret("env", "KEY")})
    spec = without_values(FunctionSpec("f", "b:1", settings), "b:1", values)
    return Record(spec, "b:1", digest, {"greet": "/greet"})


@given(digests)
def test_a_tag_is_one_of_modals_and_names_the_bento(digest: str) -> None:
    made = record(digest)
    assert TAG.match(made.tag)
    assert digest_of_tag(made.tag) == digest
    assert bento_of_path(made.path) == (made.tag, "b:1")


@given(digests)
def test_it_is_read_back(digest: str) -> None:
    made = record(digest, A="1")
    assert Record.from_json(made.to_json()) == made


@given(st.text(max_size=60))
def test_other_tags_name_no_bento(tag: str) -> None:
    assert digest_of_tag(tag) == "" or TAG.match(tag)


def test_another_value_is_another_record_and_no_value_is_kept() -> None:
    digest = "sha256:" + "0" * 64
    one, two = record(digest, A="hunter2"), record(digest, A="hunter3")
    assert one.tag != two.tag
    assert b"hunter" not in one.to_json()
    assert one.tag == record(digest, A="hunter2").tag


def test_equal_values_of_two_variables_cannot_be_told_to_be_equal() -> None:
    assert fingerprint("f", "A", "x") != fingerprint("f", "B", "x")
    assert fingerprint("f", "A", "x") != fingerprint("g", "A", "x")


def test_records_of_other_formats_are_none() -> None:
    assert Record.from_json(b'{"format": 0}') is None
    assert bento_of_path("/models/x") is None


def test_the_longest_names_have_volumes_of_their_own() -> None:
    one, two = volume_name("f" * 63 + "1"), volume_name("f" * 63 + "2")
    assert len(one) <= 64
    assert one != two
    assert volume_name("hello") == "bentofn.hello"


def test_a_record_of_a_newer_bentofn_is_none_of_ours() -> None:
    raw = json.loads(record(f"sha256:{1:064x}").to_json())
    assert Record.from_json(json.dumps(raw).encode()) is not None
    raw["spec"]["settings"]["fieldOfTomorrow"] = 1
    assert Record.from_json(json.dumps(raw).encode()) is None
