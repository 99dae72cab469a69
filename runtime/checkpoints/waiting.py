"""A service that waits at its snapshot point, warmed up and not serving yet, to be checkpointed.

It is the best moment: nobody is connected, no port is bound, no request is under way. A file says
that the moment has come. The service goes on when it was restored, or when the file is gone: in a
restored container it may never have been, and who wants the original to go on removes it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bentofn.runtime import lifecycle
from bentofn.runtime.checkpoints.identity import Identity
from bentofn.runtime.cuda import quiet
from bentofn.runtime.errors import UserError
from bentofn.runtime.original import make_copyable
from bentofn.runtime.protocol import TAKEN_OUT

VARIABLE = "BENTOFN_CHECKPOINT"
"""The file; a service that has this variable waits."""

GVISOR = Path("/proc/gvisor/checkpoint")
"""gVisor's, where a pod may ask for its own checkpoint: it is taken once something is written, and
a read waits until it was, or until the pod was restored from it.

Source: the package gke-pod-snapshots-tools 0.1.0, and Modal's client 1.6.4, which reads
``restore``, ``resume`` or ``error``."""

DONE = "snapshot-complete"
"""A file beside it with which NVIDIA's agent says that the checkpoint is taken, so that the process
which it was taken of shall end.

Source: ``snapshotprotocol`` and ``dynamo.common.snapshot`` of https://github.com/ai-dynamo/dynamo"""

_TICK = 0.01
"""Seconds between two looks; a restored process goes on after half of it."""


def become_restored(instance: object, threads: int, ready: Path) -> None:
    """Wait to be restored, and be a process of its own then.

    Args:
        instance: The service's instance, at its snapshot point.
        threads: Its number of compute threads, unless the environment says.
        ready: The file that says meanwhile that it waits.

    Raises:
        UserError: Its GPU memory cannot be taken out, the file cannot be written, or an
            after-restore hook raised.
    """
    dropped = sys.modules.get("bentofn.runtime.weights.dropped")
    if dropped is not None:
        dropped.drop()
    quiet.settle()
    renewable = make_copyable(instance)
    wait(ready)
    print("Going on.", flush=True)
    env = {name: value for name, value in os.environ.items() if name != TAKEN_OUT}
    lifecycle.restore(renewable, env, threads, _keep_privileges)


def _keep_privileges() -> None:
    """It has those that its container gives it."""


def wait(ready: Path, gvisor: Path = GVISOR) -> None:
    """Wait to be restored; SIGTERM, SIGINT and :data:`DONE` end the process.

    Args:
        ready: The file that says so meanwhile.
        gvisor: Where gVisor is asked.

    Raises:
        UserError: The file cannot be written.
    """
    before = Identity.now()
    with _ended_by_sigterm():
        if _asked_of_gvisor(gvisor):
            return
        done = ready.with_name(DONE)
        try:
            ready.parent.mkdir(parents=True, exist_ok=True)
            done.unlink(missing_ok=True)  # of an earlier one
            ready.write_text("ready\n", encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"{VARIABLE} names {ready}, which cannot be written ({error.strerror}); name a "
                "file in a directory that this user may write to."
            ) from None
        print(f"Waiting to be checkpointed, until restored or {ready} is gone.", flush=True)
        while Identity.now() == before and ready.exists():
            if done.exists():
                sys.exit(0)
            time.sleep(_TICK)
    withdraw(ready)


def withdraw(ready: Path) -> None:
    """Nobody waits yet, or any more: an earlier process may have left its file in a volume."""
    with suppress(OSError):  # what is wrong with it is told when it is to be written
        ready.unlink(missing_ok=True)


def _asked_of_gvisor(path: Path) -> bool:
    """Whether gVisor has taken a checkpoint, or restored this process from one."""
    try:
        file = path.open("r+b", buffering=0)
    except OSError:
        return False
    print("Asking gVisor for a checkpoint.", flush=True)
    try:
        with file:
            file.write(b"1")
            failed = b"error" in file.read(16)
    except OSError:
        failed = True
    if failed:
        print("gVisor could not take a checkpoint; the service starts without.", file=sys.stderr)
    return True


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """The first process of a container would not heed it otherwise."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(signum: int, frame: object) -> None:
    sys.exit(0)
