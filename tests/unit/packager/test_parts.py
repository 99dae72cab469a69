import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from bentofn.packager.arrival import MAX_MANIFEST
from bentofn.packager.home import Home
from bentofn.packager.modelstore import (
    describe_model,
    export_model,
    import_model,
    local_path,
    model_layers,
)
from bentofn.packager.modelstore.access import model_files
from bentofn.packager.modelstore.safetensors_file import lay_out, tensor_digests
from bentofn.packager.modelstore.sharing import shared_bytes
from bentofn.packager.parts import (
    LEAST_SIZE,
    MOST_PARTS,
    ModelLayer,
    cut,
    files_of,
    part_size,
    split,
)
from bentofn.packager.roots.materialise import prune
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import MODEL_WEIGHT, PART_OFFSET, PART_SIZE
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import SafetensorsHeader, read_header

MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Home(tmp_path / "home"))


def network(seed: int, *, last: int | None = None) -> dict[str, Any]:
    """An embedding of 6 MiB and four blocks of 2 MiB, the last perhaps of another training."""
    blocks = {
        f"encoder.layer.{n}.{name}.weight": MIB // 4 for n in range(4) for name in ("key", "value")
    }
    tensors = {"embeddings.weight": 3 * MIB // 2, **blocks}
    return {
        name: np.random.default_rng(
            [(last if last is not None and ".3." in name else seed), i]
        ).random(size, dtype=np.float32)
        for i, (name, size) in enumerate(tensors.items())
    }


def write(path: Path, tensors: Mapping[str, Any], metadata: dict[str, str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), path, metadata)
    return path


def digests(store: Store, entry: Entry) -> dict[str, int]:
    return {blob.digest: blob.size for blob in store.descriptors(entry)}


def test_a_fine_tuned_last_block_is_all_that_is_stored_anew(store: Store, tmp_path: Path) -> None:
    base = import_model(store, write(tmp_path / "a.safetensors", network(0)), "base")
    said: list[str] = []
    source = write(tmp_path / "b.safetensors", network(0, last=1))
    tuned = import_model(store, source, "tuned", report=said.append)
    before, after = digests(store, base), digests(store, tuned)
    new = sum(size for digest, size in after.items() if digest not in before)
    assert new == 2 * MIB
    assert said == ["86% of the weights were in the store already."]


def test_another_head_leaves_the_rest_shared(store: Store, tmp_path: Path) -> None:
    base = import_model(store, write(tmp_path / "a.safetensors", network(0)), "base")
    headed = {"classifier.weight": np.ones(1000, np.float32), **network(0)}
    entry = import_model(store, write(tmp_path / "b.safetensors", headed), "headed")
    before = digests(store, base)
    new = [size for digest, size in digests(store, entry).items() if digest not in before]
    assert sum(new) < MIB


def test_the_order_of_the_writers_header_makes_no_difference(store: Store, tmp_path: Path) -> None:
    metadata = {f"key {n}": str(n) for n in range(16)}
    entries = [
        import_model(store, write(tmp_path / f"{n}.safetensors", network(0), metadata), f"m{n}")
        for n in range(3)
    ]
    assert len({tuple(digests(store, entry)) for entry in entries}) == 1


def test_what_models_share_is_told(store: Store, tmp_path: Path) -> None:
    base = import_model(store, write(tmp_path / "a.safetensors", network(0)), "base")
    assert shared_bytes(store, [base]) == [0]
    tuned = import_model(store, write(tmp_path / "b.safetensors", network(0, last=1)), "tuned")
    other = import_model(store, write(tmp_path / "c.safetensors", {"x": np.ones(9)}), "other")
    shared = shared_bytes(store, [base, tuned, other])
    assert shared[0] == shared[1] > 12 * MIB
    assert shared[2] == 0


def test_a_file_in_parts_is_one_file_to_its_users(store: Store, tmp_path: Path) -> None:
    source = write(tmp_path / "model" / "model.safetensors", network(0))
    entry = import_model(store, source.parent, "net")
    layers = [ModelLayer.of("model.safetensors", blob) for blob in store.descriptors(entry)]
    parts = split(source)
    assert len(parts) > 4
    assert [(part.offset, part.blob.size) for part in files_of(layers)["model.safetensors"]] == [
        (part.offset, part.size) for part in parts
    ]
    _, _, path = local_path("net", store.home)
    assembled = path / "model.safetensors"
    export_model(store, "net", tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == assembled.read_bytes()
    loaded = load_file(assembled)
    assert all(np.array_equal(loaded[name], value) for name, value in network(0).items())
    assert tensor_digests(assembled) == describe_model(store, entry).tensors["model.safetensors"]
    assert model_files(store, entry) == {"model.safetensors": assembled.stat().st_size}
    (shown,) = store.layers(entry)
    assert (shown.name, shown.parts) == ("model.safetensors", len(parts))
    assert shown.size == assembled.stat().st_size
    assert import_model(store, assembled, "again").version == entry.version


def test_parts_are_joined_where_the_kernel_does_not_copy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "model.safetensors", network(0))
    import_model(store, source, "net")
    export_model(store, "net", tmp_path / "copied")
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    export_model(store, "net", tmp_path / "written")
    copied, written = (tmp_path / name / source.name for name in ("copied", "written"))
    assert copied.read_bytes() == written.read_bytes()


def test_a_small_file_is_not_cut(store: Store, tmp_path: Path) -> None:
    source = write(tmp_path / "m.safetensors", {"a.weight": np.ones(1000), "b.weight": np.ones(9)})
    (blob,) = store.descriptors(import_model(store, source, "small"))
    assert PART_OFFSET not in blob.annotations
    assert len(load_file(store.blob_path(blob.digest))) == 2


def test_a_damaged_part_is_named_removed_and_mended_by_importing_again(
    store: Store, tmp_path: Path
) -> None:
    source = write(tmp_path / "m.safetensors", network(0))
    entry = import_model(store, source, "net")
    digest = store.descriptors(entry)[2].digest
    blob = store.blob_path(digest)
    blob.chmod(0o600)
    with blob.open("r+b") as file:
        file.seek(MIB)
        file.write(b"rot")
    for read in (
        lambda: local_path("net", store.home),
        lambda: export_model(store, "net", tmp_path / "out"),
    ):
        with pytest.raises(UserError, match=f"{digest}.*damaged or missing"):
            read()
    assert list(store.home.unpacked.iterdir()) == []
    assert not (tmp_path / "out").exists()
    assert import_model(store, source, "net") == entry
    local_path("net", store.home)


def test_deleting_a_model_keeps_the_parts_that_another_shares(store: Store, tmp_path: Path) -> None:
    import_model(store, write(tmp_path / "a.safetensors", network(0)), "base")
    import_model(store, write(tmp_path / "b.safetensors", network(0, last=1)), "tuned")
    store.delete("model", "base")
    freed = store.gc(minimum_age=0)
    prune(store.home)
    assert 2 * MIB <= freed.size < 3 * MIB
    _, _, path = local_path("tuned", store.home)
    assert len(load_file(path / "b.safetensors")) == len(network(0))


def test_a_model_that_was_stored_whole_is_still_read(store: Store, tmp_path: Path) -> None:
    """What stores hold that were filled before files were cut."""
    source = write(tmp_path / "m.safetensors", network(0))
    cut_up = import_model(store, source, "new")
    raw = store.manifest(cut_up)
    whole = store.put_file(source, MODEL_WEIGHT)
    config = Descriptor.from_json(raw["config"])
    names = {"org.cncf.model.filepath": "m.safetensors"}
    layer = Descriptor(MODEL_WEIGHT, whole.digest, whole.size, names)
    manifest = store.put_manifest(raw["artifactType"], config, [layer])
    entry = store.add("model", "old", "1", manifest, cut_up.created)
    _, _, path = local_path("old", store.home)
    assert (path / "m.safetensors").read_bytes() == source.read_bytes()
    assert model_files(store, entry) == {"m.safetensors": source.stat().st_size}


def part(offset: int, size: int, whole: int | None = None) -> ModelLayer:
    digest = f"sha256:{hashlib.sha256(f'{offset} {size}'.encode()).hexdigest()}"
    annotations = {PART_OFFSET: str(offset)}
    if whole is not None:
        annotations[PART_SIZE] = str(whole)
    return ModelLayer.of("f", Descriptor(MODEL_WEIGHT, digest, size, annotations))


@pytest.mark.parametrize(
    "parts",
    [
        [part(0, 3), part(4, 3)],
        [part(0, 3), part(2, 3)],
        [part(0, 3), part(0, 3)],
        [part(1, 3)],
        [part(0, 3), part(3, 0), part(3, 1)],
        [part(0, 3, 9), part(3, 3, 9)],
    ],
    ids=["gap", "overlap", "twice", "no start", "empty", "no end"],
)
def test_parts_that_are_not_the_whole_file_are_refused(parts: list[ModelLayer]) -> None:
    with pytest.raises(UserError, match="import it again"):
        files_of(parts)


@pytest.mark.parametrize("offset", ["-1", "1e3", "x", "", "٣", "1" * 5000])
def test_an_offset_that_is_no_number_is_refused(offset: str) -> None:
    blob = Descriptor(MODEL_WEIGHT, f"sha256:{'0' * 64}", 1, {PART_OFFSET: offset})
    with pytest.raises(UserError, match="import it again"):
        ModelLayer.of("f", blob)


def header(tensors: Mapping[str, int]) -> SafetensorsHeader:
    """A header of byte tensors, given as name to size."""
    return SafetensorsHeader(lay_out({n: ("U8", (s,)) for n, s in tensors.items()}), {}, 0)


names = st.lists(st.sampled_from(["model", "layers", "0", "1", "17", "weight", "q"]), min_size=1)
sizes = st.one_of(st.just(0), st.integers(1, LEAST_SIZE), st.integers(1, 5 * LEAST_SIZE))


@given(st.dictionaries(names.map(".".join), sizes, max_size=40))
def test_parts_follow_one_another_and_none_is_too_large(tensors: dict[str, int]) -> None:
    parts = cut(header(tensors), LEAST_SIZE)
    end = 0
    for each in parts:
        assert each.offset == end
        end += each.size
    assert end - parts[0].size == sum(tensors.values()) or len(parts) == 1
    assert all(0 < each.size <= LEAST_SIZE for each in parts)
    assert len(parts) <= 2 + 8 * sum(tensors.values()) // LEAST_SIZE + 2 * len(
        [size for size in tensors.values() if size > LEAST_SIZE]
    )


@given(st.integers(0, 1 << 45))
def test_a_model_has_no_more_parts_of_full_size_than_a_manifest_holds(total: int) -> None:
    assert total <= part_size(total) * MOST_PARTS
    assert part_size(total) == LEAST_SIZE or total > part_size(total) // 2 * MOST_PARTS


def llama(layers: int, hidden: int, feed_forward: int, vocabulary: int) -> dict[str, int]:
    """The tensors of a network of Llama's shape in bfloat16: name to bytes."""
    keys = hidden // 8
    block = {
        "input_layernorm": hidden,
        "mlp.down_proj": hidden * feed_forward,
        "mlp.gate_proj": hidden * feed_forward,
        "mlp.up_proj": hidden * feed_forward,
        "post_attention_layernorm": hidden,
        "self_attn.k_proj": hidden * keys,
        "self_attn.o_proj": hidden * hidden,
        "self_attn.q_proj": hidden * hidden,
        "self_attn.v_proj": hidden * keys,
    }
    tensors = {
        f"model.layers.{n}.{name}.weight": 2 * size
        for n in range(layers)
        for name, size in block.items()
    }
    ends = {
        "lm_head.weight": 2 * hidden * vocabulary,
        "model.embed_tokens.weight": 2 * hidden * vocabulary,
    }
    return {**ends, **tensors}


@pytest.mark.parametrize("shards", [1, 30])
def test_the_manifest_of_a_model_of_140_gb_is_one_that_registries_take(shards: int) -> None:
    tensors = llama(80, 8192, 28672, 128256)
    total = sum(tensors.values())
    assert total > 140e9
    found = list(tensors.items())
    per_shard = -(-len(found) // shards)
    layers: list[ModelLayer] = []
    for number in range(shards):
        shard = header(dict(found[number * per_shard : (number + 1) * per_shard]))
        path = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        parts = cut(shard, part_size(total))
        for each in parts:
            digest = f"sha256:{hashlib.sha256(f'{path}{each.offset}'.encode()).hexdigest()}"
            annotations = {
                "org.opencontainers.image.title": f"llama-3.1-70b-instruct/{path}",
                "org.cncf.model.filepath": path,
                "io.bentofn.layer.kind": "model",
                "io.bentofn.layer.path": f"opt/bento/models/llama-3.1-70b-instruct/1/{path}",
                PART_OFFSET: str(each.offset),
                PART_SIZE: str(total),
            }
            layers.append(
                ModelLayer.of(path, Descriptor(MODEL_WEIGHT, digest, each.size, annotations))
            )
    manifest = json.dumps([layer.blob.to_json() for layer in layers])
    assert 80 < len(layers) < 2 * MOST_PARTS
    assert len(manifest) < MAX_MANIFEST / 2


def test_the_layers_of_a_bento_say_where_the_parts_stand(store: Store, tmp_path: Path) -> None:
    entry = import_model(store, write(tmp_path / "m.safetensors", network(0)), "net")
    offsets = [int(layer.annotations[PART_OFFSET]) for layer in model_layers(store, entry)]
    assert offsets == sorted(set(offsets))
    assert offsets[1] == read_header(local_path("net", store.home)[2] / "m.safetensors").data_start
