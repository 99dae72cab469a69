"""What stays of torch's headers: what its own compilers name, and what that includes."""

from __future__ import annotations

from pathlib import Path

from bentofn.packager.slim.headers import compiled_with

FILES = {
    "torch/_inductor/codegen/cpp.py": (
        'prefix = "torch/csrc/inductor/cpp_prefix.h"\n'
        'line = f"#include <torch/csrc/inductor/aoti_include/{self.device}.h>"\n'
    ),
    "torch/include/torch/csrc/inductor/cpp_prefix.h": (
        '#include <vector>\n#include <ATen/cpu/vec/vec.h>\n#  include "near.h"\n'
    ),
    "torch/include/torch/csrc/inductor/near.h": "#include <torch/api.h>\n",
    "torch/include/torch/csrc/inductor/aoti_include/cpu.h": "#include <c10/util/Half.h>\n",
    "torch/include/torch/csrc/inductor/aoti_include/cuda.h": "",
    "torch/include/torch/csrc/api/include/torch/api.h": "",
    "torch/include/ATen/cpu/vec/vec.h": '#include "../../../ATen/cpu/vec/vec.h"\n',
    "torch/include/c10/util/Half.h": "",
    "torch/include/ATen/ATen.h": "#include <ATen/cpu/vec/vec.h>\n",
    "torch/nn/modules.py": "# torch/include/ATen/ATen.h, ATen/ATen.h",
}


def test_headers_that_the_compilers_name_and_what_these_include(tmp_path: Path) -> None:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    headers = {path for path in FILES if path.endswith(".h")}
    assert compiled_with(tmp_path, FILES) == headers - {"torch/include/ATen/ATen.h"}


def test_where_torch_is_not_there_are_none(tmp_path: Path) -> None:
    assert compiled_with(tmp_path, ["torch/include/ATen/ATen.h"]) == set()
