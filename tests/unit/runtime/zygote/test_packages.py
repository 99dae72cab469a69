from __future__ import annotations

import sys
from pathlib import Path

from bentofn.runtime.zygote.packages import compiled_modules

TAG = sys.implementation.cache_tag


def test_the_modules_with_bytecode_are_those_that_a_start_imports(tmp_path: Path) -> None:
    for path in (
        f"__pycache__/single.{TAG}.pyc",
        f"torch/__pycache__/__init__.{TAG}.pyc",
        f"torch/__pycache__/__main__.{TAG}.pyc",
        f"torch/nn/__pycache__/functional.{TAG}.pyc",
        f"torch/nn/__pycache__/optimised.{TAG}.opt-1.pyc",
        f"torch/nn/__pycache__/not-a-name.{TAG}.pyc",
        "torch/nn/__pycache__/other.cpython-27.pyc",
        "torch/nn/source.py",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert compiled_modules(str(tmp_path)) == ["single", "torch", "torch.nn.functional"]
