"""The safe list: which files of an installed environment nothing reads to answer a request.

A path is relative to the environment, with ``/``. Rules name what goes, never what stays: a file
that no rule knows is kept. Headers and CMake files go only with libraries that do not compile with
them while they serve; of torch's those stay that torch.compile and AOTInductor need, and a service
that uses ``torch.utils.cpp_extension``, which may need any, is built with ``--slim off``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

RULES_VERSION = 6
"""Raised when the same files would be slimmed into others."""

SYMBOLS = "debug symbols"
"""The rule that changes files instead of removing them."""

TESTS = "tests"
"""The rule that does not hold for folders that something imports."""

STUBS = "stubs"
"""The rule that does not hold for what a module reads itself while it is imported."""

HEADERS = "headers"
"""The rule that does not hold for what torch compiles with itself."""

ONNX = "ONNX Runtime's second library"
"""The rule that does not hold where another package names the library."""

ONNX_LIBRARY = b"libonnxruntime.so"


@dataclass(frozen=True)
class Rule:
    """Files that go.

    Args:
        name: What the report calls them.
        pattern: Matches their whole path.
        keep: Matches, as a whole, those that stay all the same.
        in_whole: Whether it holds for packages of :data:`WHOLE` too.
    """

    name: str
    pattern: re.Pattern[str]
    keep: re.Pattern[str] | None = None
    in_whole: bool = False


WHOLE = frozenset(
    {
        *("triton", "nvidia", "cupy", "cupyx", "cupy_backends", "numba_cuda", "warp"),
        *("flashinfer", "deep_gemm", "tilelang", "vllm", "sglang"),
        *("jedi", "mypy", "pyright", "cmake", "ziglang", "skbuild", "pybind11", "Cython"),
    }
)
"""Top-level packages of which hardly anything goes: they compile, link or read, while they run,
what is rubbish elsewhere (headers, device libraries, stubs)."""

RULES = (
    Rule(TESTS, re.compile(r"[^/]+/(.+/)?tests?/.+")),
    Rule("torch/bin", re.compile(r"torch/bin/.+"), re.compile(r"torch/bin/torch_shm_manager")),
    # Only torch.testing._internal loads them, for torch's own tests.
    Rule(
        "test libraries",
        re.compile(
            r"torch/lib/lib(torchbind_test|jitbackend_test|backend_with_compiler|aoti_custom_ops)\.so"
        ),
    ),
    # A second build of NVRTC, the solver for several GPUs, and what profilers read counters with:
    # neither torch nor the libraries that it links to open them.
    Rule(
        "CUDA's spare libraries",
        re.compile(
            r"nvidia/.+/lib(nvrtc(-builtins)?\.alt|cusolverMg|nvperf_host|nvperf_target)\.so[0-9.]*"
            r"|triton/backends/nvidia/lib/cupti/lib(.+_static\.a|nvperf_(host|target)\.so)"
        ),
        in_whole=True,
    ),
    Rule("Windows programs", re.compile(r"(setuptools|pip/_vendor/distlib|distlib)/[^/]+\.exe")),
    Rule(
        HEADERS,
        re.compile(
            r"(torch|tensorflow|pyarrow)/include/.+"
            r"|numpy/_?core/include/.+"
            r"|(pyarrow|scipy|pandas|sklearn)/.+\.(h|hpp|pxd)"
            r"|simdjson/[^/]+\.(h|cpp|pxd|pyx)"
        ),
    ),
    Rule("cmake files", re.compile(r"torch/share/.+|[^/]+/(.+/)?[^/]+\.cmake")),
    Rule(
        "static libraries", re.compile(r"[^/]+/(.+/)?[^/]+\.a"), re.compile(r".+/libcudadevrt\.a")
    ),
    # For programs in C: Python's module holds all of it itself.
    Rule(ONNX, re.compile(r"onnxruntime/capi/libonnxruntime\.so\.[0-9.]+")),
    Rule(STUBS, re.compile(r".+\.pyi"), re.compile(r"(.+/)?typeshed/.+")),
    Rule(
        "dist-info extras",
        re.compile(
            r"[^/]+\.dist-info/(sboms/.+|INSTALLER|zip-safe|dependency_links\.txt|RECORD\.(jws|p7s))"
        ),
    ),
)
"""The rules; a file goes by the first that knows it."""

_TESTS_FOLDER = re.compile(r"([^/]+/(?:.+?/)??tests?)/.+")


def rule_of(path: str) -> str | None:
    """The name of the rule by which a file goes, or None."""
    is_whole = path.split("/")[0] in WHOLE
    for rule in RULES:
        if is_whole and not rule.in_whole:
            continue
        if rule.pattern.fullmatch(path) and not (rule.keep and rule.keep.fullmatch(path)):
            return rule.name
    return None


def folder_of_tests(path: str) -> str | None:
    """The outermost tests folder that a file is in, or None.

    A top-level package of that name is a package like any other.
    """
    match = _TESTS_FOLDER.fullmatch(path)
    return match.group(1) if match else None
