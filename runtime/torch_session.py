"""Runs the torch module behind an ONNX model, as long as its project is not built.

It takes and gives what :class:`bentofn.runtime.onnx.OnnxSession` does. The build proves that both
compute the same.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from bentofn.runtime.errors import UserError
from bentofn.runtime.exports import Export
from bentofn.runtime.onnx import bind


def load_callable(name: str) -> Callable[..., Any]:
    """Import ``module:function``.

    Raises:
        UserError: There is no such module or function.
    """
    module, _, path = name.partition(":")
    try:
        value: Any = importlib.import_module(module)
        for part in path.split("."):
            value = getattr(value, part)
    except ModuleNotFoundError as error:
        if error.name == "torch":
            raise UserError(
                f"{name} needs torch, which is not installed here: `pip install torch`, or build "
                "the project and serve the bento."
            ) from error
        raise UserError(f"{name} cannot be imported: {error}.") from error
    except AttributeError as error:
        raise UserError(f"There is no {name}: {error}.") from error
    if not callable(value):
        raise UserError(f"{name} is not a function.")
    function: Callable[..., Any] = value
    return function


def build_module(export: Export, path: Path) -> Any:
    """Make the torch module of an export, in evaluation mode.

    Args:
        export: The declaration.
        path: The model's directory.

    Raises:
        UserError: The function cannot be imported, or returns something else.
        Exception: Whatever the function raises.
    """
    build = load_callable(export.module)
    module = build(path)
    import torch

    if not isinstance(module, torch.nn.Module):
        raise UserError(
            f"{export.module} must return a torch.nn.Module, not a {type(module).__name__}."
        )
    return module.eval().requires_grad_(False)


def example_arrays(export: Export) -> dict[str, Any]:
    """The example of an export as numpy arrays.

    Raises:
        UserError: The function that makes it cannot be imported, or returns no mapping.
        Exception: Whatever that function raises.
    """
    import numpy as np

    if not isinstance(export.example, str):
        arrays = export.example.items()
        return {name: np.array(array.data, dtype=array.dtype) for name, array in arrays}
    value = load_callable(export.example)()
    if not isinstance(value, Mapping) or not value:
        raise UserError(f"{export.example} must return a mapping of input names to arrays.")
    return {str(name): _array(item) for name, item in value.items()}


def outputs_of(value: Any) -> dict[str, Any]:
    """What a torch module returned, by name: a tensor, several, or a mapping of them.

    Raises:
        UserError: It is something else.
    """
    import torch

    if isinstance(value, torch.Tensor):
        return {"output": value}
    if isinstance(value, Mapping):
        named = {str(name): item for name, item in value.items() if item is not None}
    elif isinstance(value, Sequence) and not isinstance(value, str):
        named = {f"output_{index}": item for index, item in enumerate(value)}
    else:
        named = {"output": value}
    wrong = [name for name, item in named.items() if not isinstance(item, torch.Tensor)]
    if wrong or not named:
        kind = type(named[wrong[0]]).__name__ if wrong else "nothing"
        raise UserError(
            f"The torch module must return a tensor, a tuple or a dictionary of tensors; it "
            f"returned {kind}{f' for {wrong[0]}' if wrong else ''}."
        )
    return named


class TorchSession:
    """A torch module that is called like the ONNX model that a build makes of it.

    Args:
        export: The declaration.
        path: The model's directory.

    Attributes:
        module: The torch module.
        example: Input name to array, in the order of the module's ``forward``.

    Raises:
        UserError: The module cannot be made.
    """

    def __init__(self, export: Export, path: Path) -> None:
        self.module = build_module(export, path)
        arrays = example_arrays(export)
        order = [name for name in signature(self.module.forward).parameters if name in arrays]
        self.example = {name: arrays[name] for name in dict.fromkeys((*order, *arrays))}

    def __call__(self, *arrays: Any, **inputs: Any) -> Any:
        """Compute the outputs; as :meth:`bentofn.runtime.onnx.OnnxSession.__call__`."""
        named = self.named(bind(tuple(self.example), arrays, inputs))
        outputs = tuple(named.values())
        return outputs[0] if len(outputs) == 1 else outputs

    def named(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs by name, as numpy arrays."""
        import numpy as np
        import torch

        tensors = {}
        for name, value in inputs.items():
            array = np.asarray(value)
            array = array.astype(self.example[name].dtype, casting="same_kind", copy=False)
            tensors[name] = torch.from_numpy(np.ascontiguousarray(array))
        with torch.inference_mode():
            outputs = outputs_of(self.module(**tensors))
        return {name: tensor.numpy() for name, tensor in outputs.items()}


def _array(value: Any) -> Any:
    import numpy as np

    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
