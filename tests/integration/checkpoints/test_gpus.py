"""A container whose service has memory on a GPU: taken out first, put back after the restore."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import save_file

from bentofn.runtime.cuda.controller import Controller

from .conftest import Container, Runc, ask, free_port, wait_for, why_not

if TYPE_CHECKING:
    from fakecuda import FakeCuda

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

MODEL = Path(__file__).parents[1] / "gpu" / "service.py"


@pytest.mark.slow
def test_its_weights_are_read_again_and_the_rest_is_put_back(
    runc: Runc,
    ended: Callable[[Container], Container],
    project: Path,
    fake_cuda: FakeCuda,
) -> None:
    """As CRIU's CUDA plugin, or an agent with cuda-checkpoint, would do it."""
    pytest.importorskip("torch")
    shutil.copy(MODEL, project / "service.py")
    weights = np.random.default_rng(1).random(1 << 20, np.float32)
    save_file({"w": weights}, project / "w.safetensors")
    port = free_port()
    env = {
        "PATH": os.defpath,
        "HOME": "/run",
        "BENTOFN_LIBCUDA": str(fake_cuda.path),
        "BENTOFN_INSTANCE": "one",
        "BENTOML_DISABLE_GPU_ALLOCATION": "1",
        "BENTOFN_CHECKPOINT": "/run/ready",
        "WEIGHTS": str(project / "w.safetensors"),
    }
    command = [sys.executable, "-m", "bentofn", "serve", str(project), "--port", str(port)]
    original = ended(runc.run(command, env, io_uring=True, reads=[fake_cuda.path.parent]))
    original.say("Waiting to be checkpointed")
    controller = Controller()
    try:
        controller.take_out(runc.pid(original))
        assert fake_cuda.on_device(runc.pid(original)) == 0
        runc.checkpoint(original)
        copy = ended(runc.restore("copy"))
        controller.put_back(runc.pid(copy))
    finally:
        controller.close()
    wait_for(port)
    assert fake_cuda.on_device(runc.pid(copy)) > 0
    assert ask(port, "predict", b'{"x": 2}') == 2 * float(
        (np.arange((1 << 20) // 4) % 251).astype(np.float32).sum()
    )
    assert ask(port, "sums", b"{}") == [float(weights.astype(float).sum())]
    assert ask(port, "about", b"{}")["restored"] == 1
    assert not runc.holds(weights[:1024].tobytes())
