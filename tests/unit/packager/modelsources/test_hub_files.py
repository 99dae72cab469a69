"""Which files of a hub repository are fetched."""

from __future__ import annotations

import pytest
from huggingface_hub.utils import filter_repo_objects
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.modelsources.hub_files import Selection, select
from bentofn.packager.modelsources.huggingface import HubModel
from bentofn.runtime.errors import UserError
from bentofn.runtime.models import hub_source


def chosen(
    *names: str, include: list[str] | None = None, exclude: list[str] | None = None
) -> Selection:
    def matching(items, allow, ignore):  # type: ignore[no-untyped-def]
        return filter_repo_objects(items, allow_patterns=allow, ignore_patterns=ignore)

    return select(names, include, exclude, matching)


def test_safetensors_are_taken_without_the_same_weights_in_other_formats() -> None:
    doubles = [
        "pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json",
        "tf_model.h5", "flax_model.msgpack", "rust_model.ot", "onnx/model.onnx",
        "onnx/model.onnx_data", "openvino/openvino_model.bin", "model.onnx",
    ]  # fmt: skip
    kept = ["config.json", "model.safetensors", "tokenizer.json", "vocab.txt", "1_Pooling/c.json"]
    found = chosen(*doubles, *kept)
    assert (found.files, found.left_out) == (tuple(sorted(kept)), tuple(sorted(doubles)))


def test_each_folder_has_its_own_weights() -> None:
    found = chosen(
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "safety_checker/pytorch_model.bin",
        "model_index.json",
    )
    assert found.left_out == ("unet/diffusion_pytorch_model.bin",)


def test_without_safetensors_all_weights_are_taken_but_not_what_only_training_reads() -> None:
    weights = ["pytorch_model.bin", "tf_model.h5", "spiece.model"]
    found = chosen(*weights, "training_args.bin", "optimizer.pt", "rng_state_0.pth", ".git/x")
    assert found.files == tuple(sorted(weights))
    assert ".git/x" not in found.left_out


def test_what_is_named_is_taken() -> None:
    names = ["model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "training_args.bin"]
    assert chosen(*names, include=["*.bin", "onnx/"]).files == tuple(sorted(names[1:]))
    assert chosen(*names, exclude=["*.safetensors"]).files == ("onnx/model.onnx", names[1])


@given(st.lists(st.text(min_size=1).filter(lambda name: not name.startswith("."))))
def test_no_file_is_lost_or_made_up(names: list[str]) -> None:
    found = chosen(*names)
    visible = [n for n in names if not any(p.startswith(".") for p in n.split("/"))]
    assert sorted([*found.files, *found.left_out]) == sorted(visible)


patterns = st.none() | st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1)


@given(include=patterns, exclude=patterns)
def test_a_declaration_survives_being_written_as_one_line(
    include: list[str] | None, exclude: list[str] | None
) -> None:
    source = hub_source("org/name", "refs/pr/1", "https://hub.example", include, exclude)
    found = HubModel.parse(source)
    assert found == HubModel(
        "org/name",
        "refs/pr/1",
        "https://hub.example",
        tuple(include) if include else None,
        tuple(exclude) if exclude else None,
    )


def test_names_and_versions_in_the_store() -> None:
    plain, filtered = HubModel("Org/Name_1.5", "main"), HubModel("n", "main", None, ("*.json",))
    assert (plain.name, plain.version("c0ffee")) == ("org--name_1.5", "c0ffee")
    assert filtered.version("c0ffee").startswith("c0ffee-")
    long = HubModel(f"{'o' * 40}/{'n' * 40}", "main").name
    assert len(long) == 63
    assert long != HubModel(f"{'o' * 40}/{'n' * 39}m", "main").name
    with pytest.raises(UserError, match="no address"):
        HubModel.parse("hf:a/b?endpoint=ftp://x")
