"""Everything that is measured on a GPU, in one call of under 8 minutes.

It needs this repository, PyTorch's CUDA build and safetensors; loaders to compare with take part
where they are installed. With ``--fake`` all of it runs small on any machine, against the stand-in
for the driver that the tests have: what it prints is no figure then.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "servers")]
# What is started finds bentofn too where it is not installed.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

SECTIONS = ("limits", "weights", "registered", "pretrained", "tiers")
"""Modules of ``benchmarks/gpu``; a later one may use what an earlier one measured."""


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the table here")
    parser.add_argument("--fake", action="store_true", help="small, on the stand-in for the driver")
    parser.add_argument("--folder", type=Path, help="for files, on a disk; by default a new one")
    parser.add_argument("--only", nargs="*", default=SECTIONS, help="sections: limits weights ...")
    parser.add_argument("--seconds", type=int, default=460, help="what is begun then is left out")
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, out_of_time)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        ok = measure(Path(folder), options.fake, tuple(options.only), options.json, options.seconds)
    sys.exit(0 if ok else 1)


class OutOfTime(BaseException):
    """There is none left; what expects failures of its own is not to take it for one."""


def out_of_time(number: int, frame: FrameType | None) -> None:
    """End what is being measured."""
    raise OutOfTime


def measure(
    folder: Path, is_fake: bool, sections: tuple[str, ...], json: Path | None, seconds: int
) -> bool:
    """Run sections, of which each prints its rows as they come; whether all did.

    Machines with a GPU are dear: where a section fails the others still run, and the file has each
    row as soon as it is measured.
    """
    ends, ok = time.monotonic() + seconds, True
    if is_fake:
        use_stand_in(folder)
    import torch
    from gpu.loaders import DISTRIBUTIONS
    from gpu.setup import Setup
    from table import Table

    from bentofn.runtime.cuda.context import Context
    from bentofn.runtime.cuda.library import Library

    library = Library.find()
    if library is None or not (is_fake or torch.cuda.is_available()):
        raise SystemExit("There is no GPU here that torch can use; --fake runs without one.")
    if not is_fake:
        torch.cuda.init()
    setup = Setup(
        Context(library, 0),
        torch.device("cpu" if is_fake else "cuda:0"),
        folder,
        size=8 << 20 if is_fake else 8_000_000_000,
        rounds=2 if is_fake else 5,
        is_fake=is_fake,
    )
    table = Table("gpu", ("torch", "transformers", *DISTRIBUTIONS))
    table.others["device"] = "fake" if is_fake else torch.cuda.get_device_name(0)
    table.others["driver"] = driver_version(library)
    print(f"device: {table.others['device']}, driver: {table.others['driver']}", flush=True)
    for name in sections:
        began = time.monotonic()
        try:
            signal.alarm(max(1, int(ends - began)))
            for row in importlib.import_module(f"gpu.{name}").rows(setup):
                table.add(row)
                if json is not None:
                    table.write(json)
        except OutOfTime:
            ok = False
            print(f"{name}: there is no time left for the rest of it", flush=True)
        except (Exception, SystemExit):
            ok = False
            print(f"{name} failed:\n{traceback.format_exc()}"[-4000:], flush=True)
        finally:
            signal.alarm(0)
        gc.collect()
        torch.cuda.empty_cache()  # other processes come next
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return ok


def use_stand_in(folder: Path) -> None:
    """Compile the stand-in for the driver, and choose it."""
    from fakecuda import compiled

    os.environ["BENTOFN_LIBCUDA"] = str(compiled(folder))


def driver_version(library: object) -> str:
    """The driver's CUDA version, as it says it."""
    import ctypes

    version = ctypes.c_int()
    library.call("cuDriverGetVersion", ctypes.byref(version))  # type: ignore[attr-defined]
    return f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"


if __name__ == "__main__":
    main()
