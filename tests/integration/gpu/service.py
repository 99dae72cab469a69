"""A model of a mebibyte in the memory of the GPU, that answers with sums of it."""

import ctypes
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np

import bentofn
from bentofn.runtime.cuda.library import Library

SIZE = int(os.environ.get("MODEL_BYTES", 1 << 20))


def _tensors(library: Library) -> dict[str, Any]:
    """Weights as bentofn.weights puts them on a GPU; torch has none here: the device is the CPU."""
    import torch

    from bentofn.runtime.weights.onto import Target, load_onto
    from bentofn.runtime.weights.sources.files import FileSource
    from bentofn.runtime.weights.staging import staging_of

    target = Target(torch.device("cpu"), staging_of(library, 0))
    return load_onto(target, [FileSource(os.environ["WEIGHTS"])])


@bentofn.service(resources={"gpu": 1})
class Model:
    def __init__(self) -> None:
        print("constructed", flush=True)
        self.cuda = Library.find()
        assert self.cuda is not None
        context = ctypes.c_void_p()
        self.cuda.call("cuInit", ctypes.c_uint(0))
        self.cuda.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self.cuda.call("cuCtxSetCurrent", context)
        self.weights = ctypes.c_uint64()
        self.cuda.call("cuMemAlloc_v2", ctypes.byref(self.weights), ctypes.c_size_t(SIZE))
        values = (np.arange(SIZE // 4) % 251).astype(np.float32)
        self.cuda.call(
            "cuMemcpyHtoD_v2",
            self.weights,
            values.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(SIZE),
        )
        self.tensors = _tensors(self.cuda) if "WEIGHTS" in os.environ else {}
        self.restored = 0
        self.served = 0

    @bentofn.after_restore
    def renew(self) -> None:
        self.restored += 1

    @bentofn.api
    def predict(self, x: float) -> float:
        self.served += 1
        values = np.empty(SIZE // 4, np.float32)
        self.cuda.call(
            "cuMemcpyDtoH_v2",
            values.ctypes.data_as(ctypes.c_void_p),
            self.weights,
            ctypes.c_size_t(SIZE),
        )
        return float(values.sum()) * x

    @bentofn.api
    def about(self) -> dict[str, object]:
        return {
            "pid": os.getpid(),
            "restored": self.restored,
            "served": self.served,
            "random": random.random(),
            "numpy": float(np.random.random()),
            "instance": os.environ["BENTOFN_INSTANCE"],
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        }

    @bentofn.api
    def grow(self, size: int) -> None:
        self.cuda.call("cuMemAlloc_v2", ctypes.byref(ctypes.c_uint64()), ctypes.c_size_t(size))

    @bentofn.api
    def sums(self) -> list[float]:
        return [float(each.double().sum()) for each in self.tensors.values()]

    @bentofn.api
    def hold(self, gate: str) -> bool:
        while not Path(gate).exists():
            time.sleep(0.01)
        return True
