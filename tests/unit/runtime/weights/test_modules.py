"""What ``safetensors.torch.load_model`` does, also for modules that were built on no device."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from bentofn.runtime.weights.modules import load_model


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 5)
        self.norm = nn.BatchNorm1d(5)
        self.head = nn.Linear(5, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.embedding(ids)))


@pytest.fixture
def model() -> Tied:
    torch.manual_seed(1)
    return Tied().eval()


@pytest.fixture
def file(model: Tied, tmp_path: Path) -> Path:
    safetensors.torch.save_model(model, str(tmp_path / "x.safetensors"))
    return tmp_path / "x.safetensors"


def load(model: nn.Module, file: Path) -> nn.Module:
    load_model(model, file)
    return model.eval()


def answer(model: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.arange(11))


def test_a_module_gets_the_files_weights(model: Tied, file: Path) -> None:
    torch.manual_seed(2)
    other = Tied().eval()
    parameter = other.embedding.weight
    assert load_model(other, file) == ([], [])
    assert torch.equal(answer(other), answer(model))
    assert other.embedding.weight is parameter is other.head.weight


def test_a_module_on_no_device_takes_the_files_tensors(model: Tied, file: Path) -> None:
    with torch.device("meta"):
        empty = Tied().eval()
    assert load_model(empty, file) == ([], [])
    assert torch.equal(answer(empty), answer(model))
    assert empty.head.weight is empty.embedding.weight
    assert not any(tensor.is_meta for tensor in empty.state_dict().values())


def test_a_module_gets_the_weights_of_all_shards(model: Tied, tmp_path: Path) -> None:
    tensors = {name: each for name, each in model.state_dict().items() if name != "head.weight"}
    files = [tmp_path / f"{number}.safetensors" for number in range(len(tensors))]
    for file, (name, tensor) in zip(files, tensors.items(), strict=True):
        safetensors.torch.save_file({name: tensor}, file)
    with torch.device("meta"):
        empty = Tied().eval()
    assert load_model(empty, files) == ([], [])
    assert torch.equal(answer(empty), answer(model))
    assert load_model(empty, files[1:], strict=False)[0] == ["embedding.weight"]


def test_the_files_tensors_are_taken_where_that_is_asked_for(model: Tied, file: Path) -> None:
    other = Tied().eval()
    assert load_model(other, file, assign=True, dtype=torch.float64) == ([], [])
    assert other.head.weight is other.embedding.weight
    assert other.head.weight.dtype == torch.float64
    assert torch.allclose(answer(other).float(), answer(model))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_name_too_many_of_one_tensor_is_told_as_safetensors_tells_it(
    model: Tied, tmp_path: Path, device: str
) -> None:
    file = tmp_path / "both.safetensors"
    safetensors.torch.save_file({k: v.clone() for k, v in model.state_dict().items()}, file)
    with torch.device(device):
        other = Tied().eval()
    with pytest.raises(RuntimeError) as theirs:
        safetensors.torch.load_model(Tied(), file)
    with pytest.raises(RuntimeError) as ours:
        load_model(other, file)
    assert str(ours.value) == str(theirs.value)
    assert load_model(other, file, strict=False) == ([], ["head.weight"])
    assert other.head.weight is other.embedding.weight
    assert torch.equal(answer(other), answer(model))


def test_what_only_shares_memory_with_what_the_file_has_is_missing(tmp_path: Path) -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("whole", torch.zeros(4))
            self.register_buffer("part", self.get_buffer("whole")[:2])

    file = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"whole": torch.ones(4)}, file)
    copied = Views()
    assert load_model(copied, file) == ([], [])
    assert copied.get_buffer("part").tolist() == [1, 1]
    with pytest.raises(RuntimeError, match=r'Missing key.* "part"'):
        load_model(Views(), file, assign=True)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_a_module_keeps_that_is_no_tensor_is_left_alone(file: Path, device: str) -> None:
    class Quantized(Tied):
        def get_extra_state(self) -> dict[str, int]:
            return {"bits": 8}

    with torch.device(device):
        other = Quantized()
    assert load_model(other, file) == ([], [])
    assert torch.equal(answer(other.eval()), answer(load(Tied(), file)))


def test_a_name_that_a_module_keeps_in_no_file_is_missing(tmp_path: Path) -> None:
    class Without(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, 2, device="meta")
            self.register_state_dict_post_hook(self.leave_out)

        @staticmethod
        def leave_out(_: nn.Module, state: dict[str, torch.Tensor], *__: object) -> None:
            del state["bias"]

    safetensors.torch.save_file({"weight": torch.ones(2, 2)}, tmp_path / "x.safetensors")
    with pytest.raises(RuntimeError, match=r'Missing key.* "bias"'):
        load_model(Without(), tmp_path / "x.safetensors")


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_names_that_do_not_fit_are_told_as_safetensors_tells_them(file: Path, device: str) -> None:
    def other() -> nn.Module:
        with torch.device(device):
            return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))

    with torch.device("cpu"):
        reference = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with pytest.raises(RuntimeError) as theirs:
        safetensors.torch.load_model(reference, str(file))
    with pytest.raises(RuntimeError) as ours:
        load_model(other(), file)
    assert str(ours.value) == str(theirs.value)
    missing, unexpected = load_model(other(), file, strict=False)
    wanted = safetensors.torch.load_model(reference, str(file), strict=False)
    assert (set(missing), set(unexpected)) == (set(wanted[0]), set(wanted[1]))
