"""What says to refer to a bento is read, or refused in a sentence, whatever it is."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.arriving_referrers import ArrivingReferrer, read_arriving_referrer
from bentofn.packager.store.descriptors import BENTO_ARTIFACT
from bentofn.runtime.errors import UserError

SUBJECT = f"sha256:{'a' * 64}"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
SIZE = st.integers(-1, 9) | st.sampled_from([float("inf"), "x", None])
DESCRIPTOR = st.fixed_dictionaries(
    {"mediaType": st.just("text/plain"), "digest": st.just(SUBJECT), "size": SIZE},
    optional={"annotations": st.dictionaries(st.text(), st.text()) | JSON},
)
MANIFEST = st.fixed_dictionaries(
    {},
    optional={
        "artifactType": st.sampled_from(["text/note", BENTO_ARTIFACT, ""]) | JSON,
        "config": DESCRIPTOR | JSON,
        "layers": st.lists(DESCRIPTOR | JSON, max_size=3) | JSON,
        "subject": DESCRIPTOR | JSON,
        "annotations": st.dictionaries(st.text(), st.text()) | JSON,
    },
)


def read(data: bytes) -> ArrivingReferrer | None:
    try:
        return read_arriving_referrer(data, SUBJECT, "here")
    except UserError:
        return None


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    assert read(data) is None


@given(MANIFEST | JSON)
def test_any_json(raw: Any) -> None:
    found = read(json.dumps(raw).encode())
    if found is not None:
        assert found.referrer.artifact_type != BENTO_ARTIFACT
        assert raw["subject"]["digest"] == SUBJECT
        assert all(blob.size >= 0 for blob in found.blobs)
        assert found.referrer.artifact_type.isprintable()


GOOD = st.fixed_dictionaries({"digest": st.just(SUBJECT), "size": st.integers(0, 9)})


@given(st.lists(GOOD, max_size=1))
def test_a_good_one_is_read(layers: list[dict[str, Any]]) -> None:
    raw = {
        "artifactType": "text/note",
        "config": {"mediaType": "text/x", "digest": f"sha256:{'b' * 64}", "size": 2},
        "layers": layers,
        "subject": {"digest": SUBJECT},
    }
    found = read(json.dumps(raw).encode())
    assert (found is not None) == bool(layers)
