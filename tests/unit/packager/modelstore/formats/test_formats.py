"""Files that are stored as they are: recognised, checked, refused where they are not whole."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.home import Home
from bentofn.packager.modelstore import describe_model, import_model, local_path
from bentofn.packager.modelstore.access import model_files
from bentofn.packager.modelstore.formats.protobuf import Malformed, fields
from bentofn.packager.modelstore.policy import Policy
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.descriptors import MODEL_WEIGHT
from bentofn.runtime.errors import UserError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Home(tmp_path / "home"))


def format_of(store: Store, entry: Entry) -> str:
    config = json.loads(store.config(entry))
    assert config["config"].get("format", "") == describe_model(store, entry).format
    return describe_model(store, entry).format


def refused(store: Store, source: Path, **policy: Any) -> str:
    with pytest.raises(UserError) as error:
        import_model(store, source, "x", policy=Policy(**policy))
    assert store.list("model") == []
    return str(error.value)


def message(*entries: tuple[int, int | bytes]) -> bytes:
    """A protobuf message."""
    out = b""
    for number, value in entries:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), st.integers(0, 2**64 - 1) | st.binary())))
def test_protobuf_fields_are_read_back(entries: list[tuple[int, int | bytes]]) -> None:
    found = [
        (number, value if isinstance(value, int) else bytes(value))
        for number, value in fields(memoryview(message(*entries)))
    ]
    assert found == entries


@given(st.binary())
def test_no_bytes_break_the_protobuf_reader(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        list(fields(memoryview(data)))


# --- ONNX


@pytest.fixture
def onnx_model(tmp_path: Path) -> Path:
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    weights = numpy_helper.from_array(np.arange(4096, dtype=np.float32), "w")
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.ones(2048)))],
        "inner", [], [helper.make_tensor_value_info("c", 11, [2048])],
    )  # fmt: skip
    node = helper.make_node("If", ["b"], ["y"], then_branch=inner, else_branch=inner)
    graph = helper.make_graph([node], "g", [], [], [weights])
    folder = tmp_path / "onnx"
    folder.mkdir()
    onnx.save_model(
        helper.make_model(graph), folder / "net.onnx", save_as_external_data=True,
        all_tensors_to_one_file=False, size_threshold=0, convert_attribute=True,
    )  # fmt: skip
    return folder / "net.onnx"


def test_an_onnx_file_brings_its_data(store: Store, onnx_model: Path) -> None:
    names = {path.name for path in onnx_model.parent.iterdir()}
    assert len(names) == 4
    entry = import_model(store, onnx_model, "net")
    assert set(model_files(store, entry)) == names
    assert format_of(store, entry) == "onnx"
    assert import_model(store, onnx_model.parent, "folder").version == entry.version


def test_data_that_is_missing_short_or_elsewhere(store: Store, onnx_model: Path) -> None:
    data = next(path for path in onnx_model.parent.iterdir() if path.name != "net.onnx")
    content = data.read_bytes()
    data.write_bytes(content[:-1])
    assert "is shorter than net.onnx says" in refused(store, onnx_model)
    data.unlink()
    assert f"has tensors in {data.name}, which is not beside it" in refused(store, onnx_model)
    place = message((1, b"location"), (2, b"../secret"))
    tensor = message((13, place), (14, 1))
    model = message((1, 10), (7, message((5, tensor))), (8, message((2, 21))))
    onnx_model.write_bytes(model)
    assert "outside of its folder" in refused(store, onnx_model)


@pytest.mark.parametrize("content", [b"", b"<html>", message((1, 10)), b"\x08"])
def test_what_is_no_onnx_model(store: Store, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    assert "is not a whole ONNX model" in refused(store, tmp_path / "x.onnx")
    (tmp_path / "x").write_bytes(content or b"-")
    assert "is not a whole ONNX model" in refused(store, tmp_path / "x", format="onnx")


def test_graphs_in_graphs_without_end(store: Store, tmp_path: Path) -> None:
    graph = b""
    for _ in range(100):
        graph = message((1, message((5, message((6, graph))))))
    (tmp_path / "x.onnx").write_bytes(message((1, 10), (7, graph), (8, b"")))
    assert "deep" in refused(store, tmp_path / "x.onnx")


# --- GGUF


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def gguf(data: bytes = b"d" * 64) -> bytes:
    pairs = string("general.alignment") + struct.pack("<II", 4, 64)
    pairs += string("name") + struct.pack("<I", 8) + string("tiny")
    pairs += string("words") + struct.pack("<IIQ", 9, 8, 2) + string("a") + string("b")
    pairs += string("ids") + struct.pack("<IIQ", 9, 5, 3) + bytes(12)
    tensor = string("w") + struct.pack("<IQIQ", 1, 16, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 4) + pairs + tensor
    return head + bytes(-len(head) % 64) + data


def test_a_gguf_file_is_a_blob_of_its_own(store: Store, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "tiny.gguf").write_bytes(gguf())
    (tmp_path / "m" / "README.md").write_text("tiny")
    entry = import_model(store, tmp_path / "m", "tiny")
    blob, archive = store.descriptors(entry)
    assert (blob.media_type, archive.is_archive) == (MODEL_WEIGHT, True)
    assert store.blob_path(blob.digest).read_bytes() == gguf()
    assert format_of(store, entry) == "gguf"
    assert (local_path("tiny", store.home)[2] / "tiny.gguf").read_bytes() == gguf()


@pytest.mark.parametrize("cut", [5, 23, 40, len(gguf()) - 64])
def test_half_a_gguf_file(store: Store, tmp_path: Path, cut: int) -> None:
    (tmp_path / "x.gguf").write_bytes(gguf()[:cut])
    assert "is not a whole GGUF file" in refused(store, tmp_path / "x.gguf")


def test_a_page_of_a_website_that_is_called_gguf(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_text("<html>Not found</html>")
    assert "it does not start with GGUF" in refused(store, tmp_path / "x.gguf")


@given(st.binary(), st.integers(0, 200))
def test_no_bytes_break_the_gguf_reader(data: bytes, at: int) -> None:
    import tempfile

    from bentofn.packager.modelstore.formats.gguf import GGUF

    with tempfile.NamedTemporaryFile() as file:
        file.write(gguf()[:at] + data)
        file.flush()
        with contextlib.suppress(UserError):
            GGUF().check(Path(file.name), Policy())


# --- other files


def test_large_files_are_blobs_of_their_own(store: Store, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "large.dat").write_bytes(bytes(5_000_000))
    (tmp_path / "m" / "small.dat").write_bytes(b"small")
    entry = import_model(store, tmp_path / "m", "m")
    blob, _ = store.descriptors(entry)
    assert (blob.size, blob.annotations["org.cncf.model.filepath"]) == (5_000_000, "large.dat")
    assert set(model_files(store, entry)) == {"large.dat", "small.dat"}


def test_boosters_are_known_by_their_content(store: Store, tmp_path: Path) -> None:
    ubj = b"{L\0\0\0\0\0\0\0\x07learner{}}"
    good = {
        "x.json": (b'{"learner":{"a":1},"version":[3,2,0]}', "xgboost"),
        "x.ubj": (ubj, "xgboost"),
        "x.txt": (b"tree\nversion=v4\n...\nend of trees\n", "lightgbm"),
        "saved_model.ubj": (b"tree\nversion=v4\n...\nend of trees\n", "lightgbm"),
        "x.cbm": (b"CBM1" + struct.pack("<I", 4) + b"1234", "catboost"),
    }
    for name, (content, expected) in good.items():
        (tmp_path / name).write_bytes(content)
        entry = import_model(store, tmp_path / name, "good")
        assert format_of(store, entry) == expected
        store.delete("model", entry.tag)
        (tmp_path / name).write_bytes(content[:-2] if b"trees" not in content else content[:18])
        assert "is not a whole" in refused(store, tmp_path / name)
    (tmp_path / "config.json").write_text('{"learner": "none"}')
    assert format_of(store, import_model(store, tmp_path / "config.json", "plain")) == ""


def test_a_lightgbm_model_of_the_library(store: Store, tmp_path: Path) -> None:
    try:
        import lightgbm
    except (ImportError, OSError) as error:  # its library needs the system's libgomp
        pytest.skip(f"lightgbm cannot be imported: {error}")
    inputs = np.random.default_rng(0).random((40, 3))
    data = lightgbm.Dataset(inputs, inputs[:, 0])
    booster = lightgbm.train({"verbose": -1, "num_leaves": 4, "num_threads": 1}, data, 2)
    booster.save_model(tmp_path / "model.txt")
    entry = import_model(store, tmp_path / "model.txt", "trees")
    assert format_of(store, entry) == "lightgbm"
    again = lightgbm.Booster(model_file=local_path("trees", store.home)[2] / "model.txt")
    assert np.array_equal(again.predict(inputs), booster.predict(inputs))


def test_a_skops_file_may_name_what_skops_trusts_and_what_the_user_does(
    store: Store, tmp_path: Path
) -> None:
    io = pytest.importorskip("skops.io")
    ensemble = pytest.importorskip("sklearn.ensemble")
    linear = pytest.importorskip("sklearn.linear_model")
    inputs = np.random.default_rng(0).random((20, 2))
    labels = inputs[:, 0] > 0.5
    io.dump(linear.LogisticRegression().fit(inputs, labels), tmp_path / "linear.skops")
    assert format_of(store, import_model(store, tmp_path / "linear.skops", "l")) == "skops"
    store.delete("model", "l")
    io.dump(ensemble.RandomForestClassifier(2).fit(inputs, labels), tmp_path / "x.skops")
    said = refused(store, tmp_path / "x.skops")
    assert "add --trust sklearn.tree._tree.Tree" in said
    notes: list[str] = []
    policy = Policy(trust=("sklearn.tree._tree.Tree",))
    import_model(store, tmp_path / "x.skops", "x", policy=policy, report=notes.append)
    assert "trusted=['sklearn.tree._tree.Tree']" in notes[0]
    store.delete("model", "x")
    (tmp_path / "x.skops").write_bytes((tmp_path / "x.skops").read_bytes()[:-50])
    assert "is not a whole skops file" in refused(store, tmp_path / "x.skops")


def test_a_pickled_sklearn_model_is_told_how_to_become_skops(store: Store, tmp_path: Path) -> None:
    import joblib

    linear = pytest.importorskip("sklearn.linear_model")
    joblib.dump(linear.LogisticRegression(), tmp_path / "x.pkl")
    assert "skops.io.dump(model, 'model.skops')" in refused(store, tmp_path / "x.pkl")
    notes: list[str] = []
    entry = import_model(
        store, tmp_path / "x.pkl", "x", policy=Policy(allow_pickle=True), report=notes.append
    )
    name = "sklearn.linear_model._logistic.LogisticRegression"
    assert name in notes[0]
    assert name in describe_model(store, entry).pickles["x.pkl"]


def test_a_pickle_that_is_allowed_is_still_refused_if_it_runs_commands(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "x.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert "calls os.system" in refused(store, tmp_path / "x.pkl", allow_pickle=True)
    (tmp_path / "odd.pkl").write_bytes(b"\x80\x04cfunctools\npartial\n.")
    notes: list[str] = []
    allowed = Policy(allow_pickle=True)
    entry = import_model(store, tmp_path / "odd.pkl", "odd", policy=allowed, report=notes.append)
    assert notes[1].startswith("Of these functools.partial can run any code")
    store.delete("model", entry.tag)
    (tmp_path / "x.pkl").write_bytes(b"\x80\x04\x8c\x05hello")
    assert "cannot be read to its end" in refused(store, tmp_path / "x.pkl", allow_pickle=True)


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(message((1, 1), (2, message((1, b"meta")))))
    for name in ("variables.index", "variables.data-00000-of-00001"):
        (folder / "variables" / name).write_bytes(b"v")
    return folder


def test_a_saved_model_is_whole_or_refused(store: Store, saved_model: Path) -> None:
    shard = saved_model / "variables" / "variables.data-00000-of-00001"
    shard.rename(shard.with_name("variables.data-00000-of-00002"))
    assert "of its variables a part is missing" in refused(store, saved_model)
    shutil.rmtree(saved_model / "variables")
    assert format_of(store, import_model(store, saved_model, "frozen")) == "tensorflow"
    store.delete("model", "frozen")
    (saved_model / "saved_model.pb").write_bytes(b"not")
    assert "is not a whole SavedModel" in refused(store, saved_model)


def test_a_saved_model_keeps_its_folders_and_tells_what_reaches_out(
    store: Store, saved_model: Path
) -> None:
    graph = message((1, 1), (2, message((2, message((1, message((2, b"ReadFile"))))))))
    (saved_model / "saved_model.pb").write_bytes(graph)
    notes: list[str] = []
    entry = import_model(store, saved_model, "saved", report=notes.append)
    assert set(model_files(store, entry)) == {
        "saved_model.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    }
    assert "reach out of the model when it runs: ReadFile" in notes[0]


def torchscript(path: Path, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/constants.pkl", b"\x80\x02).")
        archive.writestr("net/code/__torch__.py", "class M: ...")
        archive.writestr("net/data.pkl", data)
    return path


def test_a_program_of_torch_may_hold_tensors_only(store: Store, tmp_path: Path) -> None:
    clean = b"\x80\x02c__torch__\nM\n)\x81ccollections\nOrderedDict\n)R\x86."
    entry = import_model(store, torchscript(tmp_path / "net.pt", clean), "net")
    assert format_of(store, entry) == "torchscript"
    store.delete("model", "net")
    hostile = torchscript(tmp_path / "net.pt", b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.")
    assert "want the Python object os.system" in refused(store, hostile)
    half = torchscript(tmp_path / "net.pt", clean[:-1])
    assert "is not a whole TorchScript program" in refused(store, half)
    (tmp_path / "x.pt2").write_bytes(b"PK\x03\x04")
    assert "is not a whole torch.export program" in refused(store, tmp_path / "x.pt2")


def test_formats_are_named_for_one_file_only(store: Store, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "x.bin").write_bytes(b"\x08\x00words")
    assert "--format is for one file" in refused(store, tmp_path / "m", format="onnx")
    assert "There is no format 'h5'" in refused(store, tmp_path / "m" / "x.bin", format="h5")
    entry = import_model(store, tmp_path / "m" / "x.bin", "any", policy=Policy(format="any"))
    assert set(model_files(store, entry)) == {"x.bin"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_programs_that_torch_writes(store: Store, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model, example = torch.nn.LSTM(3, 4).eval(), torch.ones(2, 1, 3)
    torch.jit.script(model).save(tmp_path / "script.pt")
    torch.export.save(torch.export.export(model, (example,)), tmp_path / "export.pt2")
    for name, expected in (("script.pt", "torchscript"), ("export.pt2", "torch.export")):
        entry = import_model(store, tmp_path / name, "program")
        assert format_of(store, entry) == expected
        assert (local_path(entry.tag, store.home)[2] / name).read_bytes() == (
            tmp_path / name
        ).read_bytes()


@pytest.mark.slow
def test_a_training_checkpoint_gives_its_weights(store: Store, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    for name, key in (("a.ckpt", "state_dict"), ("b.pt", "model_state_dict")):
        training = {key: model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
        torch.save(training, tmp_path / name)
        notes: list[str] = []
        entry = import_model(store, tmp_path / name, "trained", report=notes.append)
        stem = name.partition(".")[0]
        assert set(describe_model(store, entry).tensors[f"{stem}.safetensors"]) == {
            "bias",
            "weight",
        }
        assert notes[0] == f"Left out of {name}: epoch, optimizer."
