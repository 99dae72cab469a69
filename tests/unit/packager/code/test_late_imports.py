from __future__ import annotations

from bentofn.packager.code.late_imports import late_imports

SERVICE = b"""
import os

class Service:
    def __init__(self):
        import torch
        import torch.nn.functional as F
        from transformers import AutoModel, pipeline as make
        from .own import helper
        from scipy import *

        def inner():
            import json

    async def ask(self):
        if self.debug:
            import pdb
"""


def test_only_imports_inside_of_functions_are_late() -> None:
    assert late_imports({"service.py": SERVICE, "empty.py": b""}) == (
        *("json", "pdb", "scipy", "torch", "torch.nn.functional"),
        *("transformers:AutoModel", "transformers:pipeline"),
    )


def test_what_is_not_python_has_none() -> None:
    assert late_imports({"broken.py": b"def f(:", "binary.py": b"\0\xff"}) == ()
