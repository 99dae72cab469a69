"""Running ONNX models: how they are called, and what a fork leaves of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bentofn.runtime import hooks
from bentofn.runtime.errors import UserError
from bentofn.runtime.models import Model
from bentofn.runtime.onnx import Input, OnnxSession

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(autouse=True)
def own_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "_after_restore", [])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def write(folder: Path, outputs: int = 1) -> Path:
    """A graph with total = a + b, and twice = total + total."""
    helper, kind = onnx.helper, onnx.TensorProto
    shape = ["batch", 2]
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["a", "b"], ["total"]),
            helper.make_node("Add", ["total", "total"], ["twice"]),
        ],
        "sum",
        [helper.make_tensor_value_info(name, kind.FLOAT, shape) for name in "ab"],
        [
            helper.make_tensor_value_info(name, kind.FLOAT, shape)
            for name in ("total", "twice")[:outputs]
        ],
    )
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), folder / "model.onnx")
    return folder / "model.onnx"


def test_a_session_is_called_like_a_function(tmp_path: Path) -> None:
    session = OnnxSession(write(tmp_path))
    assert session.inputs == (
        Input("a", "float32", ("batch", 2)),
        Input("b", "float32", ("batch", 2)),
    )
    assert session.outputs == ("total",)
    assert session([[1, 2]], b=np.ones((1, 2))).tolist() == [[2.0, 3.0]]
    assert session(b=[[1.0, 1.0]], a=[[0, 0]]).dtype == np.float32


def test_several_outputs_are_a_tuple(tmp_path: Path) -> None:
    total, twice = OnnxSession(write(tmp_path, outputs=2))([[1, 2]], [[3, 4]])
    assert (total.tolist(), twice.tolist()) == ([[4, 6]], [[8, 12]])


@pytest.mark.parametrize(
    ("arrays", "named", "said"),
    [
        (([[1, 2]],), {}, "also needs b"),
        (([[1, 2]], [[1, 2]], [[1, 2]]), {}, "takes 2 inputs, and got 3"),
        (([[1, 2]],), {"a": [[1, 2]]}, "'a' was given twice"),
        ((), {"c": [[1, 2]]}, "no input 'c'; it takes a, b"),
        (([[1j, 2]], [[1, 2]]), {}, "Cannot cast"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    tmp_path: Path, arrays: tuple[object, ...], named: dict[str, object], said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        OnnxSession(write(tmp_path))(*arrays, **named)


def test_a_model_of_the_store_that_holds_an_onnx_file(tmp_path: Path) -> None:
    write(tmp_path)
    assert Model("sum", "1", tmp_path).session()([[1, 2]], [[3, 4]]).tolist() == [[4, 6]]
    with pytest.raises(UserError, match=r"sum:1 has no other\.onnx"):
        Model("sum", "1", tmp_path).session("other.onnx")


def test_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"model\.onnx cannot be opened with ONNX Runtime"):
        OnnxSession(tmp_path / "model.onnx")


FORK = """
import os, sys
from pathlib import Path
from bentofn.runtime import hooks, threads
from bentofn.runtime.onnx import OnnxSession

threads.forbid(os.environ)
session = OnnxSession(Path(sys.argv[1]))
before = session([[1, 2]], [[3, 4]]).tolist()
alone = len(os.listdir("/proc/self/task"))
if os.fork() == 0:
    os.environ["OMP_NUM_THREADS"] = "2"
    same = session([[1, 2]], [[3, 4]]).tolist() == before
    first = session._session
    hooks.run_after_restore(object())
    while session._session is first:
        pass
    same = same and session([[1, 2]], [[3, 4]]).tolist() == before
    os._exit(0 if same and alone == 1 else 1)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_a_template_with_a_session_can_be_forked_and_the_copy_gets_threads(tmp_path: Path) -> None:
    file = write(tmp_path)
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(file)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


AWAITED = """
import os, sys, threading
from pathlib import Path
from bentofn.runtime import on_demand, onnx

onnx.PATIENCE = float(sys.argv[2])
on_demand.declare(os.environ)
session = onnx.OnnxSession(Path(sys.argv[1]))
before = session([[1, 2]], [[3, 4]]).tolist()
for thread in threading.enumerate():
    if thread.name == "onnx-session" and onnx.PATIENCE < 1:
        thread.join()
options = session._session.get_session_options()
try:
    options.get_session_config_entry("session.disable_prepacking")
except RuntimeError:  # there is none: it is packed
    assert onnx.PATIENCE < 1
else:
    assert onnx.PATIENCE > 1
assert session([[1, 2]], [[3, 4]]).tolist() == before
"""


@pytest.mark.parametrize("patience", ["0", "600"])
def test_where_a_request_waits_weights_are_packed_later_and_nothing_waits_for_that(
    tmp_path: Path, patience: str
) -> None:
    command = [sys.executable, "-c", AWAITED, str(write(tmp_path)), patience]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
