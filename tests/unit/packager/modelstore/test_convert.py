"""Checkpoints become safetensors with the same tensors and fixed bytes, or are refused."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.modelstore.convert import Conversion, convert_checkpoint
from bentofn.packager.modelstore.safetensors_file import tensor_digests
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import read_header

# torch announces the end of quantised and nested tensors and of TorchScript; files of them remain.
pytestmark = pytest.mark.filterwarnings("ignore:.*(quantize|nested|torch.jit)")


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture
def convert(tmp_path: Path, torch: Any) -> Any:
    def convert(content: Any, **options: Any) -> tuple[Conversion, dict[str, Any]]:
        torch.save(content, tmp_path / "model.pt", **options)
        conversion = convert_checkpoint(tmp_path / "model.pt", tmp_path / "model.safetensors")
        return conversion, load(conversion.files[0])

    return convert


def load(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(path))


def metadata_of(conversion: Conversion) -> dict[str, str]:
    return dict(read_header(conversion.files[0]).metadata)


OLD_DTYPES = ["bfloat16", "bool", "complex64", "float16", "float32", "float64"]
OLD_DTYPES += ["int16", "int32", "int64", "int8", "uint8"]
# torch's format before 1.6 cannot hold these.
NEW_DTYPES = ["float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "uint16", "uint32", "uint64"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("zipped", "dtypes"), [(True, OLD_DTYPES + NEW_DTYPES), (False, OLD_DTYPES)]
)
def test_tensors_of_every_kind_survive(
    torch: Any, convert: Any, zipped: bool, dtypes: list[str]
) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    state = {dtype: torch.ones(2, 3).to(getattr(torch, dtype)) for dtype in dtypes} | {
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "nan": torch.tensor([float("nan"), 1.0]),
        "transposed": torch.arange(6.0).reshape(2, 3).t(),
        "conjugate": torch.tensor([1 + 2j], dtype=torch.complex64).conj(),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "first half": base[:1],
        "second half": base[1:],
    }
    conversion, saved = convert(state, _use_new_zipfile_serialization=zipped)
    assert saved.keys() == state.keys()
    for name, value in state.items():
        assert saved[name].dtype == value.dtype
        torch.testing.assert_close(
            saved[name], value.detach().resolve_conj(), rtol=0, atol=0, equal_nan=True
        )
    assert (conversion.tied, conversion.ignored) == ({}, ())
    assert conversion.tensors == len(state)
    assert conversion.size == sum(value.nbytes for value in state.values())
    assert tensor_digests(conversion.files[0]).keys() == state.keys()


@pytest.mark.slow
def test_tied_weights_are_stored_once_under_the_first_name(torch: Any, convert: Any) -> None:
    shared = torch.ones(4, 4)
    conversion, saved = convert({"wte": shared, "body": torch.zeros(1), "head": shared})
    assert saved.keys() == {"wte", "body"}
    assert conversion.tied == {"head": "wte"}
    assert metadata_of(conversion) == {"format": "pt", "head": "wte"}


@pytest.mark.slow
def test_overlapping_tensors_that_differ_all_survive(torch: Any, convert: Any) -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    turning = torch.ones(2, dtype=torch.complex64) * 1j
    state = {
        "slice": whole[:1],
        "whole": whole,
        "turned": whole.t(),
        "z": turning,
        "conjugate": turning.conj(),
    }
    conversion, saved = convert(state)
    assert conversion.tied == {}
    assert saved.keys() == state.keys()
    assert all(torch.equal(saved[name], value) for name, value in state.items())


@pytest.mark.slow
def test_equal_tensors_of_equal_names_give_equal_bytes(
    torch: Any, convert: Any, tmp_path: Path
) -> None:
    tied = torch.ones(3)
    state = {f"t{i}": torch.full((i,), float(i)) for i in range(8)} | {"a": tied, "b": tied}
    found = set()
    for content in (state, {"state_dict": state}, {"epoch": 1, "model": {"state_dict": state}}):
        convert(content)
        found.add((tmp_path / "model.safetensors").read_bytes())
    assert len(found) == 1
    assert read_header(tmp_path / "model.safetensors").data_start == 4096


@pytest.mark.slow
def test_a_wrapped_state_dict_is_unwrapped_and_the_rest_is_named(torch: Any, convert: Any) -> None:
    weights = {"w": torch.ones(2)}
    conversion, saved = convert({"state_dict": weights, "epoch": 3, "optimizer": {"lr": 0.1}})
    assert saved.keys() == {"w"}
    assert conversion.ignored == ("epoch", "optimizer")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda torch: {"w": torch.ones(1), "epoch": 3}, "key 'epoch' is a int, not a plain"),
        (lambda torch: {1: torch.ones(1)}, "key 1 is a int, not a name"),
        (lambda torch: {"__metadata__": torch.ones(1)}, "name '__metadata__'"),
        (lambda torch: {"w": torch.ones(1).to(torch.complex128)}, "'w' has dtype torch.complex128"),
        (lambda torch: {"w": torch.ones(2).to_sparse()}, "'w' is sparse"),
        (lambda torch: {"w": torch.empty(2, device="meta")}, "'w' has a shape but no data"),
        (
            lambda torch: {"w": torch.quantize_per_tensor(torch.ones(1), 0.1, 0, torch.qint8)},
            "'w' has dtype torch.qint8",
        ),
        (lambda torch: {"w": torch.nested.nested_tensor([torch.ones(1)] * 2)}, "'w' is nested"),
        (lambda torch: [torch.ones(1)], "holds a list, no state dict"),
        (lambda torch: torch.ones(1), "holds a Tensor, no state dict"),
        (lambda torch: {}, "holds no tensors"),
        (lambda torch: torch.nn.Linear(1, 1), r"object torch\.nn\.modules\.linear\.Linear"),
    ],
)
def test_what_is_not_plain_tensors_is_refused_by_name(
    torch: Any, convert: Any, tmp_path: Path, make: Any, reason: str
) -> None:
    with pytest.raises(UserError, match=rf"model\.pt.*{reason}"):
        convert(make(torch))
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


class Malicious:
    """Runs a shell command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["zip", "stream", "pickle"])
def test_a_malicious_pickle_is_refused_and_does_not_run(
    torch: Any, tmp_path: Path, form: str
) -> None:
    source, mark = tmp_path / "model.bin", tmp_path / "ran"
    content = {"w": torch.ones(1), "x": Malicious(mark)}
    if form == "pickle":
        source.write_bytes(pickle.dumps(Malicious(mark), protocol=2))
    else:
        torch.save(content, source, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(UserError, match=r"refused: its pickle wants .* (posix|nt)\.system"):
        convert_checkpoint(source, tmp_path / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["model.bin"]


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x80\x02}q\x00."])
def test_a_damaged_file_is_refused(torch: Any, tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.bin (is damaged|holds)"):
        convert_checkpoint(source, tmp_path / "model.safetensors")


@pytest.mark.slow
def test_a_torchscript_program_is_refused(torch: Any, tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "model.pt")
    with pytest.raises(UserError, match="TorchScript"):
        convert_checkpoint(tmp_path / "model.pt", tmp_path / "model.safetensors")


@pytest.mark.slow
def test_a_missing_file_is_named(torch: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.pt: No such file"):
        convert_checkpoint(tmp_path / "gone.pt", tmp_path / "model.safetensors")


INDEX = "pytorch_model.bin.index.json"
SHARDS = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")


def write_shards(torch: Any, folder: Path, weight_map: dict[str, Any] | None = None) -> None:
    tied = torch.ones(2)
    torch.save({"a": tied, "a2": tied}, folder / SHARDS[0])
    torch.save({"b": torch.zeros(3)}, folder / SHARDS[1])
    default = {"a": SHARDS[0], "a2": SHARDS[0], "b": SHARDS[1]}
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map or default}))


@pytest.mark.slow
def test_shards_are_converted_with_their_index(torch: Any, tmp_path: Path) -> None:
    write_shards(torch, tmp_path)
    target = tmp_path / "out" / "model.safetensors.index.json"
    target.parent.mkdir()
    conversion = convert_checkpoint(tmp_path / INDEX, target)
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert [path.name for path in conversion.files] == [*names, target.name]
    assert json.loads(target.read_bytes()) == {
        "metadata": {"total_size": 20},
        "weight_map": {"a": names[0], "b": names[1]},
    }
    assert conversion.tied == {"a2": "a"}
    assert load(conversion.files[0]).keys() == {"a"}
    assert load(conversion.files[1]).keys() == {"b"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weight_map", "reason"),
    [
        ({"a": "../" + SHARDS[0]}, "must name a .bin, .pt or .pth file beside the index"),
        ({"a": "a.txt"}, "must name a .bin"),
        ({"a": 1}, "must name a .bin"),
        ({"a": "gone.bin"}, r"gone\.bin: No such file"),
        ({"a": SHARDS[0]}, "has tensor 'a2', .*index.json has not"),
        (dict.fromkeys(("a", "a2", "c"), SHARDS[0]), "index.json has tensor 'c', .*bin has not"),
    ],
)
def test_an_index_that_does_not_fit_its_shards_is_refused(
    torch: Any, tmp_path: Path, weight_map: dict[str, Any], reason: str
) -> None:
    write_shards(torch, tmp_path, weight_map)
    with pytest.raises(UserError, match=reason):
        convert_checkpoint(tmp_path / INDEX, tmp_path / "model.safetensors.index.json")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": {}}', "[" * 100_000])
def test_an_index_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(UserError, match=r"index\.json (is not JSON|has no weight_map)"):
        convert_checkpoint(tmp_path / INDEX, tmp_path / "model.safetensors.index.json")


def test_without_torch_the_extra_to_install_is_named(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; sys.modules['torch'] = None\n"
        "from bentofn.packager.modelstore.convert import convert_checkpoint\n"
        "convert_checkpoint(Path('model.pt'), Path('model.safetensors'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=tmp_path)
    assert (
        b"UserError: Reading a torch checkpoint needs torch: install bentofn[torch]" in done.stderr
    )


class Settings(dict[str, Any]):
    """As Lightning's AttributeDict: what a checkpoint holds beside the weights."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.more = 1


@pytest.mark.slow
def test_objects_beside_the_weights_of_a_training_are_left_out(torch: Any, convert: Any) -> None:
    state = {"w": torch.ones(2)}
    training = {
        "state_dict": state,
        "hyper_parameters": Settings({"lr": 0.1}),
        "args": argparse.Namespace(epochs=3),
        "callbacks": {"best": Path("/models/best.ckpt")},
        "dtype": torch.float32,
    }
    conversion, saved = convert(training)
    assert saved.keys() == {"w"}
    assert conversion.ignored == ("args", "callbacks", "dtype", "hyper_parameters")


class Command:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["state_dict", "callbacks"])
def test_a_training_that_runs_commands_or_hides_objects_in_its_weights(
    torch: Any, convert: Any, place: str
) -> None:
    training: dict[str, Any] = {"state_dict": {"w": torch.ones(2)}, "callbacks": {}}
    training[place]["x"] = Command()
    with pytest.raises(UserError, match="wants the Python object"):
        convert(training)
    training[place]["x"] = Settings({"lr": 0.1})
    if place == "state_dict":
        with pytest.raises(UserError, match="not a plain tensor"):
            convert(training)
