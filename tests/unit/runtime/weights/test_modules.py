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


def test_the_files_tensors_are_taken_where_that_is_asked_for(model: Tied, file: Path) -> None:
    other = Tied().eval()
    assert load_model(other, file, assign=True, dtype=torch.float64) == ([], [])
    assert other.head.weight is other.embedding.weight
    assert other.head.weight.dtype == torch.float64
    assert torch.allclose(answer(other).float(), answer(model))


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
