"""A manifest from elsewhere is believed only as far as it can do no harm."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.arrival import read_arriving, read_arriving_config
from bentofn.packager.store.descriptors import (
    BENTO_ARTIFACT,
    BENTO_CONFIG,
    LAYER_PATH,
    TITLE,
)
from bentofn.runtime.errors import UserError

DIGEST = f"sha256:{'a' * 64}"
LAYER = {"mediaType": "x", "digest": f"sha256:{'b' * 64}", "size": 3}


def manifest(**changes: Any) -> dict[str, Any]:
    config = {"mediaType": BENTO_CONFIG, "digest": DIGEST, "size": 2}
    return {"artifactType": BENTO_ARTIFACT, "config": config, "layers": [LAYER], **changes}


def test_a_bento_is_read() -> None:
    arriving = read_arriving(json.dumps(manifest(layers=[LAYER, LAYER])).encode(), "x")
    assert [blob.size for blob in arriving.blobs] == [2, 3]


@pytest.mark.parametrize(
    "changes",
    [
        {"artifactType": "application/vnd.other"},
        {"layers": []},
        {"layers": [LAYER] * 9000},
        {"layers": [{**LAYER, "size": -1}]},
        {"layers": [{**LAYER, "size": "many"}]},
        {"layers": [LAYER, {**LAYER, "size": 4}]},
        {"layers": [{**LAYER, "digest": "sha256:../../etc/passwd"}]},
        {"layers": [{**LAYER, "annotations": {LAYER_PATH: "../../etc/passwd"}}]},
        {"layers": [{**LAYER, "annotations": {LAYER_PATH: "/etc/passwd"}}]},
        {"layers": [{**LAYER, "annotations": {TITLE: "\x1b[2J"}}]},
        {"layers": [{**LAYER, "annotations": {TITLE: 1}}]},
        {"layers": "none"},
        {"config": None},
        {"config": {**LAYER, "mediaType": "application/vnd.oci.image.config.v1+json"}},
        {"config": {"mediaType": BENTO_CONFIG, "digest": DIGEST, "size": 1 << 40}},
    ],
)
def test_what_could_do_harm_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        read_arriving(json.dumps(manifest(**changes)).encode(), "x")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["config", "layers", "mediaType"]), json_values))
def test_any_manifest_is_read_or_refused_in_a_sentence(changes: dict[str, Any]) -> None:
    with suppress(UserError):
        read_arriving(json.dumps(manifest(**changes)).encode(), "x")


@given(json_values)
def test_any_config_is_refused_in_a_sentence(value: Any) -> None:
    with pytest.raises(UserError):
        read_arriving_config(json.dumps(value).encode(), "x")
