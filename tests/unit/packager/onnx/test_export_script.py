"""Exporting real torch modules, and what is said of those that cannot be exported or differ."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bentofn.packager.onnx.export_script import CannotExport, export
from bentofn.runtime.exports import Export, declare
from bentofn.runtime.onnx import OnnxSession
from bentofn.runtime.torch_session import TorchSession
from bentofn.runtime.weights.header import read_header

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
for needed in ("torch", "onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(needed)

NETS = """
from pathlib import Path

import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 16)
        self.mix = nn.Linear(16, 48)
        self.out = nn.Linear(16, 4)

    def forward(self, ids, mask):
        query, key, value = self.mix(self.words(ids)).unsqueeze(1).chunk(3, dim=-1)
        hidden = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask[:, None, None, :].bool()
        )
        return {"scores": self.out(hidden.squeeze(1)).softmax(-1), "tokens": mask.sum(1)}


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


class Fixed(nn.Module):
    def forward(self, x):
        return x.reshape(2, 3) if x.shape[0] == 2 else x.reshape(-1, 3) * 2


class Dropout(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(x), x * 2


class Choice(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        self.places = nn.Parameter(torch.ones(4, 2))

    def forward(self, x):
        return x + self.places[: x.shape[1]]


class Nested(nn.Module):
    def forward(self, x):
        return x, [x, x]


def attention(path):
    torch.manual_seed(int((path / "seed").read_text()))
    return Attention()


def example():
    return {"ids": torch.tensor([[1, 2, 3]]), "mask": torch.ones(1, 3, dtype=torch.int64)}


def missing(path):
    return torch.load(path / "weights.pt")


def not_a_module(path):
    return {}


def noise(path):
    return Noise()


def fixed(path):
    return Fixed()


def dropout(path):
    return Dropout()


def choice(path):
    return Choice()


def positions(path):
    return Positions()


def nested(path):
    return Nested()
"""
IDS = {"ids": [[1, 2, 3]], "mask": [[1, 1, 1]]}
AXES = {"ids": ["batch", "tokens"], "mask": ["batch", "tokens"]}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model's directory; the project is the working directory."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "nets.py").write_text(NETS)
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.delitem(sys.modules, "nets", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "seed").write_text("7")
    return folder


def run(declared: Export, model: Path, name: str = "exported") -> tuple[dict[str, Any], Path]:
    folder = model.with_name(name)
    folder.mkdir()
    return export(json.loads(json.dumps(asdict(declared))), model, folder), folder


def refusal(model: Path, module: str, example: object, dynamic: object = None) -> str:
    with pytest.raises(CannotExport) as caught:
        run(declare("m", f"nets:{module}", example, dynamic), model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_export_computes_what_torch_does_at_any_size_of_its_named_axes(model: Path) -> None:
    declared = declare("m", "nets:attention", IDS, AXES)
    answer, folder = run(declared, model)
    assert answer["difference"] <= 1e-4
    assert not answer["unchecked"]
    assert {tool.split("==")[0] for tool in answer["tools"]} >= {"torch", "onnx", "onnxruntime"}
    ours, theirs = OnnxSession(folder / "model.onnx"), TorchSession(declared, model)
    assert [(each.name, each.shape) for each in ours.inputs] == [
        ("ids", ("batch", "tokens")),
        ("mask", ("batch", "tokens")),
    ]
    assert ours.outputs == ("scores", "tokens")
    ids = np.arange(20).reshape(4, 5)
    mask = np.ones_like(ids)
    for found, wanted in zip(ours(ids, mask=mask), theirs(ids, mask), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_weights_are_safetensors_that_can_be_mapped(model: Path) -> None:
    _, folder = run(declare("m", "nets:attention", IDS, AXES), model)
    header = read_header(folder / "model.safetensors")
    assert header.data_start % 4096 == 0
    assert header.tensors["words.weight"].shape == (50, 16)
    assert (folder / "model.onnx").stat().st_size < 50_000


def test_weights_behind_symbolic_links_are_found(model: Path, tmp_path: Path) -> None:
    _, folder = run(declare("m", "nets:attention", IDS, AXES), model)
    linked, ids = tmp_path / "linked", np.array([[1, 2, 3]])
    linked.mkdir()
    for file in folder.iterdir():
        (linked / file.name).symlink_to(file)
    sessions = [OnnxSession(each / "model.onnx") for each in (folder, linked)]
    (ours, _), (theirs, _) = (session(ids, np.ones_like(ids)) for session in sessions)
    np.testing.assert_array_equal(ours, theirs)


def test_the_same_module_gives_the_same_bytes(model: Path) -> None:
    declared = declare("m", "nets:attention", "nets:example", AXES)
    digests = []
    for name in ("first", "second"):
        _, folder = run(declared, model, name)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert not [name for name, text in files.items() if str(model.parent).encode() in text]
        digests.append({n: hashlib.sha256(text).hexdigest() for n, text in files.items()})
    assert digests[0] == digests[1]
    assert set(digests[0]) == {"model.onnx", "model.safetensors"}


def test_a_module_is_exported_as_it_is_evaluated(model: Path) -> None:
    answer, folder = run(declare("m", "nets:dropout", {"x": [[1.5, 2.0]]}, None), model)
    assert answer["difference"] == 0
    kept, doubled = OnnxSession(folder / "model.onnx")([[1.5, 2.0]])
    assert (kept.tolist(), doubled.tolist()) == ([[1.5, 2.0]], [[3.0, 4.0]])


def test_an_output_that_differs_is_named_with_how_much(model: Path) -> None:
    said = refusal(model, "noise", {"x": [[1.0, 2.0]]})
    assert said.startswith(
        "The output output of nets:noise for x [1, 2] differs from torch's by 0."
    )
    assert "more than 0.0001" in said


def test_a_module_that_takes_no_larger_size_is_checked_with_a_smaller_one(model: Path) -> None:
    declared = declare("m", "nets:positions", {"x": [[[1.0, 2.0]] * 4]}, {"x": [None, "t", None]})
    answer, folder = run(declared, model)
    assert not answer["unchecked"]
    assert OnnxSession(folder / "model.onnx")([[[1.0, 2.0]] * 3]).shape == (1, 3, 2)


def test_an_axis_that_was_named_but_is_fixed_is_found(model: Path) -> None:
    said = refusal(model, "fixed", {"x": [[1.0] * 3] * 2}, {"x": ["batch", None]})
    assert "nets:fixed" in said


@pytest.mark.parametrize(
    ("module", "example", "dynamic", "said"),
    [
        ("missing", IDS, None, r"nets:missing fails: FileNotFoundError: .*\(nets\.py:\d+\)"),
        ("not_a_module", IDS, None, "must return a torch.nn.Module, not a dict"),
        ("nothing", IDS, None, "There is no nets:nothing"),
        ("attention", {"ids": [[1]]}, None, r"does not take the example: TypeError: .*mask"),
        (
            "attention",
            {"ids": [[99]], "mask": [[1]]},
            None,
            "does not take the example: IndexError",
        ),
        ("nested", {"x": [1.0]}, None, "it returned list for output_1"),
        ("choice", {"x": [1.0]}, None, "cannot be exported to ONNX: "),
        ("attention", "nets:example", {"ids": ["batch"]}, "names 1 axes of 'ids', but the example"),
        ("attention", "nets:nothing", None, "There is no nets:nothing"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence(
    model: Path, module: str, example: object, dynamic: object, said: str
) -> None:
    assert re.search(said, refusal(model, module, example, dynamic))
