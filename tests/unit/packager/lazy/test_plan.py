"""Which layers can wait, and what is kept of lazy bentos."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from bentofn.packager.home import Home
from bentofn.packager.lazy.figures import Figures
from bentofn.packager.lazy.origin import Origin
from bentofn.packager.lazy.plan import SMALL, make_plan
from bentofn.packager.lazy.whole import refuse_lazy
from bentofn.packager.registry.reference import parse_reference
from bentofn.packager.roots.materialise import prune
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import (
    LAYER_KIND,
    MODEL_FILES,
    MODEL_WEIGHT,
    TOC_CHECKSUM,
    TOC_POSITION,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def layer(
    kind: str, size: int, media_type: str = "x.tar+zstd", chunked: bool = False
) -> Descriptor:
    table = {TOC_POSITION: "10:10:10:1", TOC_CHECKSUM: f"sha256:{'0' * 64}"} if chunked else {}
    return Descriptor(media_type, f"sha256:{'0' * 64}", size, {LAYER_KIND: kind, **table})


def test_large_layers_that_can_be_fetched_in_pieces_wait() -> None:
    libraries = layer("env", SMALL + 1, chunked=True)
    weights = layer("model", SMALL + 1, MODEL_WEIGHT)
    others = [
        layer("env", SMALL, chunked=True),
        layer("env", SMALL + 1),
        layer("bytecode", SMALL + 1, chunked=True),
        layer("model", SMALL + 1, MODEL_FILES),
        layer("model", SMALL, MODEL_WEIGHT),
        layer("code", SMALL + 1),
    ]
    plan = make_plan([libraries, weights, *others])
    assert (plan.chunked, plan.parts) == ((libraries,), (weights,))
    assert plan.whole == tuple(others)


@pytest.mark.parametrize("insecure", [True, False])
def test_an_origin_is_written_and_read(insecure: bool) -> None:
    origin = Origin(parse_reference("ghcr.io/me/greeter:1"), insecure)
    assert Origin.parse(str(origin)) == origin


def lazy_bento(store: Store) -> Entry:
    code = store.put_bytes(b"code", "x")
    missing = Descriptor("x", f"sha256:{'1' * 64}", 1000, {LAYER_KIND: "env"})
    bento = BentoManifest("greeter", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    config = store.put_bytes(bento.to_json(), "c")
    layers = [missing, Descriptor(code.media_type, code.digest, code.size, {LAYER_KIND: "code"})]
    manifest = store.put_manifest("application/vnd.bentofn.bento.v1+json", config, layers)
    with pytest.raises(UserError, match="is missing"):
        store.add("bento", "greeter", "1", manifest, NOW)
    return store.add("bento", "greeter", "1", manifest, NOW, lazy="ghcr.io/me/greeter:1")


def test_a_bento_without_all_of_its_blobs_is_in_the_store_and_says_so(tmp_path: Path) -> None:
    store = Store(Home(tmp_path))
    entry = lazy_bento(store)
    assert store.get("bento", "greeter") == entry
    assert entry.size > 1000
    assert not store.has(f"sha256:{'1' * 64}")
    with pytest.raises(UserError, match=r"with: bentofn pull ghcr\.io/me/greeter:1"):
        refuse_lazy(entry)
    store.gc(0)
    assert store.bento(entry).name == "greeter"
    store.delete("bento", "greeter")
    store.gc(0)
    assert not store.has(entry.digest)


def test_figures_are_added_up_and_go_with_their_bento(tmp_path: Path) -> None:
    home = Home(tmp_path)
    store = Store(home)
    entry = lazy_bento(store)
    figures = Figures.of(home, entry)
    assert figures.document() == {}
    figures.pulled(100)
    figures.missed(20)
    figures.missed(30)
    figures.answered()
    figures.rest(1000)
    figures.answered()
    assert figures.document() == {
        "fetched_bytes": 1130,
        "missed_bytes": 30,
        "fetched_before_first_answer": 130,
    }
    (home.cache / "lazy" / "tables").mkdir()
    for digit in "12":
        (home.cache / "lazy" / "tables" / (digit * 64)).write_bytes(b"table")
    removed = {path.name for path in prune(home)}
    assert removed == {"2" * 64}
    store.delete("bento", "greeter")
    removed = {path.name for path in prune(home)}
    assert removed == {"1" * 64, figures.directory.name}
