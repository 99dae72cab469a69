from __future__ import annotations

import ctypes
import pickle
from typing import TYPE_CHECKING

import pytest

from bentofn.runtime.cuda.library import CudaError, Library
from bentofn.runtime.errors import UserError

if TYPE_CHECKING:
    from fakecuda import FakeCuda


def test_the_library_is_the_one_that_the_environment_names(fake_cuda: FakeCuda) -> None:
    library = Library.find()
    assert library is not None
    assert library.path == str(fake_cuda.path)
    version = ctypes.c_int()
    library.call("cuInit", ctypes.c_uint(0))
    library.call("cuDriverGetVersion", ctypes.byref(version))
    assert version.value >= 12000
    assert fake_cuda.calls() == ["cuInit", "cuDriverGetVersion"]


def test_an_empty_name_is_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOFN_LIBCUDA", "")
    assert Library.find() is None


def test_a_name_that_does_not_load_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOFN_LIBCUDA", "/nonexistent/libcuda.so")
    with pytest.raises(UserError, match=r"BENTOFN_LIBCUDA.*/nonexistent/libcuda\.so"):
        Library.find()


def test_a_failed_call_says_which_and_why(fake_cuda: FakeCuda) -> None:
    library = Library(str(fake_cuda.path))
    fake_cuda.fail("cuInit:2=2")
    library.call("cuInit", ctypes.c_uint(0))
    with pytest.raises(CudaError) as failed:
        library.call("cuInit", ctypes.c_uint(0))
    assert (failed.value.call, failed.value.code) == ("cuInit", 2)
    assert str(failed.value) == "cuInit: CUDA_ERROR_OUT_OF_MEMORY (2)"
    assert pickle.loads(pickle.dumps(failed.value)).name == "CUDA_ERROR_OUT_OF_MEMORY"


def test_an_error_that_the_driver_has_no_name_for(fake_cuda: FakeCuda) -> None:
    fake_cuda.fail("cuInit=4242")
    with pytest.raises(CudaError, match="an unknown error"):
        Library(str(fake_cuda.path)).call("cuInit", ctypes.c_uint(0))


def test_a_call_that_an_older_driver_lacks(fake_cuda: FakeCuda) -> None:
    library = Library(str(fake_cuda.path))
    assert not library.has("cuNewerThanThis")
    with pytest.raises(CudaError, match="cuNewerThanThis: CUDA_ERROR_NOT_FOUND"):
        library.call("cuNewerThanThis")
