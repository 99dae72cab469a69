"""Exports a torch module to ONNX and proves it equal; run as a script in the environment for that.

    python -s -S export_script.py REQUEST ANSWER

``REQUEST`` is ``{"places", "export", "model", "folder"}``: what may be imported, in order (the
project's code, the runtime, the packages), the declaration, the model's directory and the folder
to write into. The answer is ``{"error"}``, or ``{"difference", "tools", "unchecked"}``.

The weights go into a safetensors file that the graph refers to, so that they can be mapped,
compared and shared tensor by tensor as those of any other model.
"""

from __future__ import annotations

import json
import os
import site
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

TOLERANCE = 1e-4
"""How far a number of the ONNX model may be from torch's, absolutely or relatively."""

GRAPH = "model.onnx"
WEIGHTS = "model.safetensors"

PAGE = 4096

SMALLEST = 1024
"""Bytes from which a constant is a weight; smaller ones are shapes and scalars, which ONNX Runtime
must see in the graph to know the shapes of what follows."""

TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu")

_DTYPES = {
    **{"FLOAT": "F32", "DOUBLE": "F64", "FLOAT16": "F16", "BFLOAT16": "BF16", "BOOL": "BOOL"},
    **{f"INT{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
}
"""ONNX's names of element types to safetensors'."""


class CannotExport(Exception):  # noqa: N818 - it says what the build says
    """The sentence that says why there is no ONNX model."""


def main(request: Path, answer: Path) -> None:
    """Export, and write the answer."""
    asked = json.loads(request.read_bytes())
    source, runtime, packages = asked["places"]
    # As in bentofn.runtime.boot, which may be another than this process's.
    stock = os.environ.get("BENTOFN_STOCK") == "1"
    dropin = [] if stock else [str(Path(runtime, "bentofn", "runtime", "dropin"))]
    own = str(Path(__file__).parent)
    rest = [entry for entry in sys.path if entry not in ("", own)]
    sys.path[:] = [source, runtime, *dropin, packages, *rest]
    site.addsitedir(packages)
    os.chdir(source)
    warnings.simplefilter("ignore")
    try:
        done = export(asked["export"], Path(asked["model"]), Path(asked["folder"]))
    except CannotExport as error:
        done = {"error": str(error)}
    answer.write_text(json.dumps(done))


def export(raw: Mapping[str, Any], path: Path, folder: Path) -> dict[str, Any]:
    """Write the exported model into a folder.

    Args:
        raw: The declaration, as plain data.
        path: The model's directory.
        folder: Where to write.

    Returns:
        The answer: the largest difference, the tools' versions, and whether no other size than the
        example's could be checked.

    Raises:
        CannotExport: Nothing can be exported, or it is not equal.
    """
    from bentofn.runtime.exports import Export
    from bentofn.runtime.onnx import OnnxSession
    from bentofn.runtime.torch_session import TorchSession

    declared = Export.from_plain(raw)
    module = f"The module of {declared.module}"
    with failing(f"{declared.module} fails"):
        ours = TorchSession(declared, path)
    check_axes(declared.dynamic, ours.example)
    with failing(f"{module} does not take the example"):
        outputs = ours.named(ours.example)
    with failing(f"{module} cannot be exported to ONNX"):
        write(trace(ours.module, ours.example, list(outputs), declared.dynamic), folder)
        session = OnnxSession(folder / GRAPH)
    others = other_sizes(ours, declared.dynamic)
    worst = 0.0
    for inputs, wanted in ((ours.example, outputs), *others):
        shown = ", ".join(f"{name} {list(array.shape)}" for name, array in inputs.items())
        with failing(f"The ONNX model of {declared.module} does not take {shown}"):
            answer = session(**inputs)
        found = answer if isinstance(answer, tuple) else (answer,)
        for (name, theirs), each in zip(wanted.items(), found, strict=True):
            worst = max(worst, apart(f"{name} of {declared.module} for {shown}", each, theirs))
    return {
        "difference": worst,
        "tools": tools(),
        "unchecked": bool(declared.dynamic) and not others,
    }


def check_axes(dynamic: Mapping[str, Sequence[str | None]], example: Mapping[str, Any]) -> None:
    """Make sure that the named axes are the example's, which a function may have made.

    Raises:
        CannotExport: One is not.
    """
    for name, axes in dynamic.items():
        if name not in example or len(axes) != example[name].ndim:
            shapes = ", ".join(f"{each} {list(array.shape)}" for each, array in example.items())
            raise CannotExport(
                f"dynamic names {len(axes)} axes of {name!r}, but the example is {shapes}"
            )


def trace(
    module: Any,
    example: Mapping[str, Any],
    outputs: Sequence[str],
    dynamic: Mapping[str, Sequence[str | None]],
) -> Any:
    """The module's ONNX graph, as an ``onnx_ir.Model`` with its inputs in the example's order.

    Args:
        module: The torch module.
        example: Input name to array.
        outputs: The names that its outputs get.
        dynamic: Input name to the names of its axes.
    """
    import torch

    axes = {
        name: {axis: label for axis, label in enumerate(dynamic.get(name, ())) if label}
        for name in example
    }
    program = torch.onnx.export(
        module,
        (),
        kwargs={name: torch.from_numpy(array) for name, array in example.items()},
        output_names=outputs,
        dynamic_shapes=axes if any(axes.values()) else None,
        dynamo=True,
        verbose=False,
    )
    inputs = {value.name: value for value in program.model.graph.inputs}
    unused = sorted(example.keys() - inputs.keys())
    if unused:
        raise CannotExport(
            f"The module does not use {', '.join(unused)}; leave that out of the example"
        )
    program.model.graph.inputs.clear()
    program.model.graph.inputs.extend(inputs[name] for name in example)
    return program.model


def write(model: Any, folder: Path) -> None:
    """Write the graph and its weights; equal modules give equal bytes.

    Args:
        model: An ``onnx_ir.Model``; its weights are replaced by references to the file.
        folder: Where to write.
    """
    import onnx_ir as ir

    # Where in the project each node came from, with the paths of this machine.
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for thing in (node, *node.outputs):
            thing.metadata_props.clear()
            thing.doc_string = None
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    weights = [
        value
        for value in model.graph.initializers.values()
        if value.const_value.nbytes >= SMALLEST and value.const_value.dtype.name in _DTYPES
    ]
    # safetensors has no holes: types of larger alignment first.
    weights.sort(key=lambda value: -value.const_value.dtype.itemsize)
    tensors, size = {}, 0
    for value in weights:
        tensor = value.const_value
        tensors[value.name] = {
            "dtype": _DTYPES[tensor.dtype.name],
            "shape": list(tensor.shape.numpy()),
            "data_offsets": [size, size + tensor.nbytes],
        }
        size += tensor.nbytes
    header = json.dumps(tensors).encode()
    header += b" " * (-(len(header) + 8) % PAGE)
    with (folder / WEIGHTS).open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for value in weights:
            tensor = value.const_value
            value.const_value = ir.ExternalTensor(
                WEIGHTS,
                offset=file.tell(),
                length=tensor.nbytes,
                dtype=tensor.dtype,
                shape=tensor.shape,
                name=value.name,
                base_dir=str(folder),
            )
            file.write(tensor.tobytes())
    ir.save(model, folder / GRAPH)


def other_sizes(
    session: Any, dynamic: Mapping[str, Sequence[str | None]]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The example with other sizes of its named axes, and what torch makes of it.

    Twice the size, or half of it where the module takes no more (its longest text, say). None
    where no axis is named or torch takes neither.
    """
    import numpy as np

    def resized(name: str, array: Any, factor: float) -> Any:
        for axis, label in enumerate(dynamic.get(name, ())):
            if label:
                wanted = max(1, int(array.shape[axis] * factor))
                array = np.take(array, np.arange(wanted) % array.shape[axis], axis)
        return np.ascontiguousarray(array)

    for factor in (2, 0.5):
        inputs = {name: resized(name, array, factor) for name, array in session.example.items()}
        if all(inputs[name].shape == array.shape for name, array in session.example.items()):
            continue
        try:
            return [(inputs, session.named(inputs))]
        except Exception:  # whatever the user's module raises on a size that it does not take
            continue
    return []


def apart(what: str, ours: Any, theirs: Any) -> float:
    """How far two arrays are apart at most: absolutely below 1, relatively above.

    Raises:
        CannotExport: Further than :data:`TOLERANCE`, or they are of other shapes or types.
    """
    import numpy as np

    if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
        raise CannotExport(
            f"The output {what} is {ours.dtype} {list(ours.shape)} in ONNX and "
            f"{theirs.dtype} {list(theirs.shape)} in torch; name the axes whose size changes in "
            "dynamic"
        )
    if ours.dtype.kind not in "fc":
        worst = float(np.any(ours != theirs))
    else:
        exact = np.asarray(theirs, np.complex128 if ours.dtype.kind == "c" else np.float64)
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        with np.errstate(invalid="ignore"):
            gap = np.where(same, 0.0, np.abs(ours - exact) / np.maximum(1.0, np.abs(exact)))
        worst = float(np.nan_to_num(gap, nan=np.inf).max(initial=0.0))
    if worst > TOLERANCE:
        raise CannotExport(
            f"The output {what} differs from torch's by {worst:.2g}, more than {TOLERANCE:g}; "
            "a module that draws random numbers or computes in half precision does that: change "
            "it, or serve the model without runtime='onnx'"
        )
    return worst


def tools() -> list[str]:
    """What made the export, as ``name==version``."""
    found = []
    for name in TOOLS:
        with suppress(PackageNotFoundError):
            found.append(f"{name}=={version(name)}")
    return found


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Turn whatever is raised inside into one sentence.

    Raises:
        CannotExport: ``what``, and the first cause with its line of the project.
    """
    try:
        yield
    except CannotExport:
        raise
    except Exception as error:
        traceback.print_exception(error)
        from bentofn.runtime.errors import UserError

        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        text = str(cause).strip().partition("\n")[0][:300].rstrip(".")
        kind = "" if isinstance(cause, UserError) else f"{type(cause).__name__}: "
        frames = traceback.extract_tb(cause.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).is_relative_to(Path.cwd())]
        where = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
        raise CannotExport(f"{what}: {kind}{text}{where}") from error


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
