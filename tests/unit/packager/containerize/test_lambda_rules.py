"""Each of Lambda's rules, broken alone."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.containerize.blob import Layer
from bentofn.packager.containerize.gzipped import gzip_layer
from bentofn.packager.containerize.image import make_image
from bentofn.packager.containerize.lambda_rules import check_image, check_source, refuse
from bentofn.packager.containerize.layout import write_layout
from bentofn.packager.containerize.names import parse_place
from bentofn.packager.containerize.places import open_place
from bentofn.packager.home import Home
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError

MakeLayer = Callable[[Sequence[tarfile.TarInfo]], Layer]
Entry = Callable[..., tarfile.TarInfo]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Home(tmp_path / "home"))


def config(layers: Sequence[Layer], **changed: Any) -> dict[str, Any]:
    return {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created_by": "x"} for _ in layers],
    } | changed


def rules(store: Store, layers: list[Layer], **changed: Any) -> list[str]:
    image = make_image(config(layers, **changed), layers, "linux/amd64", {}, {})
    return [violation.rule for violation in check_image(image, "a test")]


def test_each_rule_is_named(store: Store, make_layer: MakeLayer, entry: Entry) -> None:
    plain = make_layer([entry("a", tarfile.DIRTYPE), entry("a/b")])
    good = gzip_layer(store.home, store, plain)
    assert rules(store, [good]) == []
    assert rules(store, [plain]) == ["UnsupportedImageLayerDetected"]
    assert rules(store, [good], architecture="s390x") == ["Platform"]
    assert rules(store, [good], history=[]) == ["History"]
    assert rules(store, [good], history=[{}, {"empty_layer": True}]) == []
    assert rules(store, [good], config={}) == ["NoCommand"]
    orphan = gzip_layer(store.home, store, make_layer([entry("a/b/c"), entry("a/b/d")]))
    assert rules(store, [orphan]) == ["MissingParentDirectory"]
    twice = gzip_layer(store.home, store, make_layer([entry("a"), entry("a")]))
    assert rules(store, [twice]) == ["DuplicateEntry"]


def test_an_index_and_a_damaged_layer_are_told_apart(
    tmp_path: Path, store: Store, make_layer: MakeLayer, entry: Entry
) -> None:
    layer = gzip_layer(store.home, store, make_layer([entry("a")]))
    layout = tmp_path / "layout"
    write_layout(make_image(config([layer]), [layer], "linux/amd64", {}, {}), layout, ["a"])
    source = open_place(parse_place(f"oci:{layout}:a"), store, print)
    assert check_source(source) == []
    nested = (layout / "index.json").read_bytes()
    digest = hashlib.sha256(nested).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(nested)
    raw = {"mediaType": "x", "digest": f"sha256:{digest}", "size": len(nested)}
    (layout / "index.json").write_text(json.dumps({"manifests": [raw]}))
    found = check_source(open_place(parse_place(f"oci:{layout}"), store, print))
    assert [violation.rule for violation in found] == ["ImageIndex"]
    with pytest.raises(UserError, match="Lambda would refuse an image on base"):
        refuse(found, "base")
    other = replace(layer, diff_id="sha256:" + "0" * 64)
    image = make_image(config([other]), [other], "linux/amd64", {}, {})
    with pytest.raises(UserError, match="is damaged"):
        check_image(image, "a test")
