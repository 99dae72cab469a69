"""``python -m bentofn.runtime.weights.keeper SOCKET``: keep weights pinned until told to end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from bentofn.runtime.cuda.library import CudaError, Library
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.keeper.server import Keeper, listen


def installed() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def gigabytes(text: str) -> float:
    """A number of them.

    Raises:
        ValueError: It is none, or not more than 0.
    """
    if 0 < float(text) < float("inf"):
        return float(text)
    raise ValueError(text)


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="bentofn.runtime.weights.keeper", description=__doc__)
    parser.add_argument("socket", type=Path, help="where instances find it")
    parser.add_argument(
        "--gigabytes",
        type=gigabytes,
        default=min(32e9, installed() / 2) / 1e9,
        help="of files that are pinned at most; by default 32, or half of the memory",
    )
    options = parser.parse_args()

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        signal.signal(signal.SIGTERM, end)
        library = Library.find()
        if library is None:
            raise UserError("There is no driver of NVIDIA's here: nothing can be pinned.")
        keeper = Keeper(library, int(options.gigabytes * 1e9))
        listener = listen(options.socket)
    except KeyboardInterrupt:
        return 0
    except (UserError, CudaError) as error:
        print(f"bentofn: {error}", file=sys.stderr)
        return 1
    try:
        print(f"Keeping weights for {options.socket}.", flush=True)
        keeper.serve(listener)
    except KeyboardInterrupt:
        pass
    finally:
        options.socket.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
