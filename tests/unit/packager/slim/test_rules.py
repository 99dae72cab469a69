"""What the safe list knows and what it leaves alone."""

from __future__ import annotations

import pytest

from bentofn.packager.slim.rules import folder_of_tests, rule_of


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("numpy/_core/tests/test_dtype.py", "tests"),
        ("pandas/tests/__init__.py", "tests"),
        ("torch/test/cpp/x.so", "tests"),
        ("torch/bin/protoc", "torch/bin"),
        ("torch/lib/libtorchbind_test.so", "test libraries"),
        ("setuptools/cli-64.exe", "Windows programs"),
        ("torch/include/ATen/ATen.h", "headers"),
        ("numpy/_core/include/numpy/arrayobject.h", "headers"),
        ("simdjson/simdjson.cpp", "headers"),
        ("torch/share/cmake/Torch/TorchConfig.cmake", "cmake files"),
        ("torch/lib/libx.a", "static libraries"),
        ("numpy/random/lib/libnpyrandom.a", "static libraries"),
        ("onnxruntime/capi/libonnxruntime.so.1.32.0", "ONNX Runtime's second library"),
        ("nvidia/cu13/lib/libnvrtc.alt.so.13", "CUDA's spare libraries"),
        ("nvidia/cuda_nvrtc/lib/libnvrtc-builtins.alt.so.12.8", "CUDA's spare libraries"),
        ("nvidia/cusolver/lib/libcusolverMg.so.11", "CUDA's spare libraries"),
        ("nvidia/cu13/lib/libnvperf_host.so", "CUDA's spare libraries"),
        ("triton/backends/nvidia/lib/cupti/libcupti_static.a", "CUDA's spare libraries"),
        ("numpy/__init__.pyi", "stubs"),
        ("x-1.dist-info/sboms/auditwheel.cdx.json", "dist-info extras"),
    ],
)
def test_what_goes(path: str, rule: str) -> None:
    assert rule_of(path) == rule


@pytest.mark.parametrize(
    "path",
    [
        "tests/__init__.py",
        "test/support.py",
        "numpy/testing/__init__.py",
        "torch/testing/_internal/common.py",
        "pkg/tests.py",
        "pkg/latests/x.py",
        "torch/bin/torch_shm_manager",
        "torch/lib/libtorch_cpu.so",
        "torch/lib/libtorch_python.so",
        "pkg/tool.exe",
        "pkg/py.typed",
        "pkg/include/x.h",
        "triton/backends/nvidia/include/cuda.h",
        "nvidia/cuda_runtime/lib/libcudadevrt.a",
        "nvidia/cu13/lib/libnvrtc.so.13",
        "nvidia/cu13/lib/libnvrtc-builtins.so.13.0",
        "nvidia/cu13/lib/libcusolver.so.12",
        "nvidia/cu13/lib/libcupti.so.13",
        "triton/backends/nvidia/lib/cupti/libcupti.so.12",
        "onnxruntime/capi/libonnxruntime_providers_shared.so",
        "onnxruntime/capi/onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so",
        "jedi/third_party/typeshed/stdlib/os.pyi",
        "x-1.dist-info/METADATA",
        "x-1.dist-info/RECORD",
        "x-1.dist-info/WHEEL",
        "x-1.dist-info/entry_points.txt",
        "x-1.dist-info/top_level.txt",
        "x-1.dist-info/licenses/LICENSE",
    ],
)
def test_what_stays(path: str) -> None:
    assert rule_of(path) is None


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("pkg/tests/a.py", "pkg/tests"),
        ("pkg/sub/tests/data/tests/x", "pkg/sub/tests"),
        ("tests/tests/a.py", "tests/tests"),
        ("tests/a.py", None),
        ("pkg/a.py", None),
    ],
)
def test_the_tests_folder_of_a_file(path: str, folder: str | None) -> None:
    assert folder_of_tests(path) == folder
