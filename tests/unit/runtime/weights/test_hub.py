"""``from_pretrained`` gives the same model, of the file's own pages."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from bentofn.runtime.weights import hub
from bentofn.runtime.weights.hub import Reader, accelerate


@pytest.fixture
def file(tmp_path: Path) -> Path:
    safetensors.torch.save_file(
        {"b": torch.randn(6, 4), "a": torch.arange(3)}, tmp_path / "x.safetensors", {"k": "v"}
    )
    return tmp_path / "x.safetensors"


def test_a_reader_is_what_safe_open_gives(file: Path) -> None:
    with Reader(file) as ours, safetensors.safe_open(file, "pt") as theirs:
        assert ours.keys() == list(theirs.keys())
        assert ours.offset_keys() == list(theirs.offset_keys())
        assert ours.metadata() == theirs.metadata()
        for name in ours.keys():  # noqa: SIM118 - no mapping
            assert torch.equal(ours.get_tensor(name), theirs.get_tensor(name))
            assert ours.get_slice(name).get_shape() == theirs.get_slice(name).get_shape()
            assert ours.get_slice(name).get_dtype() == theirs.get_slice(name).get_dtype()
            assert torch.equal(ours.get_slice(name)[1:2], theirs.get_slice(name)[1:2])
        assert ours.get_tensors().keys() == {"a", "b"}


def test_a_name_that_a_file_has_not_is_told_as_safetensors_tells_it(file: Path) -> None:
    with Reader(file) as ours, safetensors.safe_open(file, "pt") as theirs:
        for look in ("get_tensor", "get_slice"):
            with pytest.raises(safetensors.SafetensorError) as wanted:
                getattr(theirs, look)("c")
            with pytest.raises(safetensors.SafetensorError) as found:
                getattr(ours, look)("c")
            assert str(found.value) == str(wanted.value)


def test_arrays_of_others_than_torch_are_left_to_safetensors(file: Path) -> None:
    with accelerate(), safetensors.safe_open(file, framework="np") as opened:
        assert isinstance(opened.get_tensor("a"), np.ndarray)


def test_blocks_of_several_threads_end_in_any_order(file: Path) -> None:
    before = safetensors.safe_open, safetensors.torch.load_file
    first, second = accelerate("cpu"), accelerate("meta")
    first.__enter__()
    taken = safetensors.torch.load_file
    second.__enter__()
    assert safetensors.torch.load_file(file)["a"].is_meta
    first.__exit__(None, None, None)
    assert safetensors.torch.load_file(file)["a"].is_meta
    second.__exit__(None, None, None)
    assert (safetensors.safe_open, safetensors.torch.load_file) == before
    assert torch.equal(taken(file)["a"], torch.arange(3))


def test_what_is_replaced_is_put_back(file: Path) -> None:
    before = safetensors.safe_open, safetensors.torch.load_file
    with accelerate():
        assert isinstance(safetensors.safe_open(file, "pt"), Reader)
        assert safetensors.torch.load_file(file).keys() == {"a", "b"}
    assert (safetensors.safe_open, safetensors.torch.load_file) == before
    with pytest.raises(KeyError), accelerate():
        raise KeyError
    assert (safetensors.safe_open, safetensors.torch.load_file) == before


def test_a_module_that_is_imported_meanwhile_keeps_nothing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_meanwhile.py").write_text(
        "from safetensors import safe_open\n"
        "from safetensors.torch import load_file as safe_load_file"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with accelerate():
        module = importlib.import_module("imported_meanwhile")
        assert isinstance(module.safe_open(file, "pt"), Reader)
    assert module.safe_open is safetensors.safe_open
    assert module.safe_load_file is safetensors.torch.load_file
    del sys.modules["imported_meanwhile"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=128, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    made = transformers.LlamaForCausalLM(config).eval()
    folder = tmp_path_factory.mktemp("model")
    made.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    return made, folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_from_pretrained_gives_the_same_model(
    model: tuple[Any, Path], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, folder = model
    transformers = sys.modules["transformers"]
    wanted = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    opened: list[str] = []
    get = Reader.get_tensor
    monkeypatch.setattr(
        Reader, "get_tensor", lambda self, name: opened.append(name) or get(self, name)
    )
    with accelerate():
        found = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    assert set(opened) >= {"model.embed_tokens.weight", "model.norm.weight"}
    ids = torch.arange(10)[None]
    with torch.inference_mode():
        assert torch.equal(found(ids).logits, wanted(ids).logits)
    assert found.lm_head.weight is found.model.embed_tokens.weight
    if dtype == torch.float32:
        assert torch.equal(found.model.norm.weight, made.model.norm.weight)


@pytest.mark.parametrize("shards", ["10GB", "20KB"])
def test_diffusers_gives_the_same_model_which_needs_diffusers(tmp_path: Path, shards: str) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    torch.manual_seed(0)
    made = diffusers.UNet2DModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    made.save_pretrained(tmp_path, max_shard_size=shards)
    loaded: list[str] = []
    with accelerate(), pytest.MonkeyPatch.context() as patch:
        load = hub.load_file
        patch.setattr(hub, "load_file", lambda name, *a: loaded.append(name) or load(name, *a))
        found = diffusers.UNet2DModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    assert len(loaded) == len(list(tmp_path.glob("*.safetensors")))
    wanted = diffusers.UNet2DModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    assert all(
        torch.equal(found.state_dict()[name], each) for name, each in wanted.state_dict().items()
    )
