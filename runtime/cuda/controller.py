"""A process that stays and makes the driver's checkpoint calls for others.

Whoever makes them must have initialised CUDA, which takes seconds (2.7 on an H100), so one process
does it once and takes orders. What the driver does to it, or keeps it waiting for, does not befall
who asks: an order that takes too long ends the controller, and the next one starts another.

It ends with the process that started it, whose end of the socket is closed then.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import asdict
from typing import Any

from bentofn.runtime.cuda.checkpoint import (
    CannotCheckpoint,
    Checkpoint,
    State,
    devices_of,
    start_driver,
)
from bentofn.runtime.cuda.devices import Device
from bentofn.runtime.cuda.library import Library
from bentofn.runtime.gpus import VISIBLE

START = 60.0
"""Seconds that CUDA's start may take: it waits for the GPUs to wake without persistence mode."""
LOCK = 10.0
"""Seconds that a process's work on the GPU may take to come to its end."""
MOVE = 120.0
"""Seconds that the memory of a process may take: 80 GB at a hundredth of the bus's speed."""
_END = 5.0
"""Seconds that a killed process may take; one that waits in the kernel for a GPU that does not
answer takes longer."""


class Controller:
    """Who orders; any thread may. A process is started with the first order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._closed = False

    def version(self) -> int:
        """The CUDA that the driver is for (12080 is 12.8).

        Raises:
            CannotCheckpoint: Nothing can be checkpointed here; the message says why.
        """
        return int(self._wait("version", 0, START))

    def devices(self) -> list[Device]:
        """The machine's GPUs, also where nothing can be checkpointed.

        Raises:
            CannotCheckpoint: There is no driver that tells of them; the message says why.
        """
        return [Device(**each) for each in self._wait("devices", 0, START)]

    def state(self, pid: int) -> State:
        """How a process stands.

        Raises:
            CannotCheckpoint: It does not use CUDA, or nothing can be checkpointed here.
        """
        return State(self._wait("state", pid, START + LOCK))

    def take_out(self, pid: int) -> None:
        """Lock a process and take its memory off the GPU.

        Raises:
            CannotCheckpoint: That failed; end the process.
        """
        self._wait("take_out", pid, START + LOCK + MOVE)

    def put_back(self, pid: int) -> None:
        """Put a process's memory back on the GPU and let it go on.

        Raises:
            CannotCheckpoint: That failed; end the process.
        """
        self._wait("put_back", pid, START + LOCK + MOVE)

    def close(self) -> None:
        """End the process; what it still does is lost. No order is taken any more."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is not None:
            process.end()

    def _wait(self, order: str, pid: int, timeout: float) -> Any:
        process = self._running()
        try:
            return process.ask(order, pid).result(timeout)
        except TookTooLong:
            self._give_up(process)
            raise CannotCheckpoint(f"the driver did not answer within {timeout:g} s") from None

    def _running(self) -> _Process:
        with self._lock:
            if self._closed:
                raise CannotCheckpoint("the platform ends")
            if self._process is None or not self._process.alive:
                try:
                    self._process = _Process()
                except OSError as error:
                    why = f"the controller cannot be started: {error.strerror}"
                    raise CannotCheckpoint(why) from error
            return self._process

    def _give_up(self, process: _Process) -> None:
        with self._lock:
            if self._process is process:  # and not one that was started since
                self._process = None
        process.end()


class _Process:
    """A controller that runs, and the orders that it has not answered."""

    def __init__(self) -> None:
        self._socket, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with remote:
            try:
                self._popen = subprocess.Popen(
                    [sys.executable, "-m", "bentofn.runtime.cuda.controller", str(remote.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[remote.fileno()],
                    env=_environment(os.environ),
                    start_new_session=True,
                    cwd="/",
                )
            except BaseException:
                self._socket.close()
                raise
        self.alive = True
        self._lock = threading.Lock()
        self._asked: dict[int, Future[Any]] = {}
        self._numbers = 0
        reader = threading.Thread(target=self._read, name="bentofn-controller", daemon=True)
        reader.start()

    def ask(self, order: str, pid: int) -> Future[Any]:
        answer: Future[Any] = Future()
        with self._lock:
            self._numbers += 1
            number = self._numbers
            self._asked[number] = answer
        line = json.dumps({"number": number, "order": order, "pid": pid}).encode() + b"\n"
        with contextlib.suppress(OSError):  # it ends: the reader answers
            self._socket.sendall(line)
        if not self.alive:
            self._answer({"number": number, "error": "the controller ended"})
        return answer

    def end(self) -> None:
        """Kill it and wait, unless the driver holds it."""
        self._kill()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        # Whatever it says that is no answer ends it.
        with contextlib.suppress(Exception), self._socket.makefile("rb") as lines:
            for line in lines:
                self._answer(json.loads(line))
        with self._lock:
            self.alive = False
            left = list(self._asked)
        status = self._kill()
        why = f"the controller ended with status {status}"
        if status is None:
            why = "the controller ended its work, and the driver keeps its process"
        for number in left:
            self._answer({"number": number, "error": why})
        self._socket.close()

    def _kill(self) -> int | None:
        """End it; returns its status, None where the driver holds it."""
        self._popen.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._popen.wait(_END)
        return None

    def _answer(self, answer: Mapping[str, Any]) -> None:
        error = answer.get("error")
        value = None if error else answer["value"]
        with self._lock:
            asked = self._asked.pop(int(answer["number"]), None)
        if asked is None:
            return
        if error:
            asked.set_exception(CannotCheckpoint(error))
        else:
            asked.set_result(value)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The controller's: its GPUs are numbered as nvidia-smi does, unless the user has named some by
    their numbers, which are CUDA's."""
    if VISIBLE in environ:
        return dict(environ)
    return {**environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


class _Orders:
    """What the process does: each order in a thread of its own, as the driver may keep it waiting.

    Args:
        wire: The socket to who orders.
    """

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._sending = threading.Lock()
        self._finding = threading.Lock()
        self._found: Library | CannotCheckpoint | None = None

    def serve(self) -> None:
        """Take orders until nobody gives them."""
        with self._wire.makefile("rb") as lines:
            for line in lines:
                order = json.loads(line)
                threading.Thread(target=self._obey, args=(order,), daemon=True).start()

    def _obey(self, order: Mapping[str, Any]) -> None:
        do: Mapping[str, Callable[[int], object]] = {
            "version": lambda _: self._calls().version,
            "devices": lambda _: [asdict(each) for each in devices_of(self._driver())],
            "state": lambda pid: int(self._calls().state(pid)),
            "take_out": self._take_out,
            "put_back": self._put_back,
        }
        answer: dict[str, Any] = {"number": order["number"]}
        try:
            answer["value"] = do[order["order"]](order["pid"])
        except CannotCheckpoint as error:
            answer["error"] = str(error)
        except Exception as error:  # whatever it is: somebody waits for an answer
            answer["error"] = f"{type(error).__name__}: {error}"
        with self._sending, contextlib.suppress(OSError):
            self._wire.sendall(json.dumps(answer).encode() + b"\n")

    def _calls(self) -> Checkpoint:
        return Checkpoint.of(self._driver())

    def _driver(self) -> Library:
        with self._finding:
            if self._found is None:
                try:
                    self._found = start_driver()
                except CannotCheckpoint as error:
                    self._found = error
        if isinstance(self._found, CannotCheckpoint):
            raise self._found
        return self._found

    def _take_out(self, pid: int) -> None:
        calls = self._calls()
        calls.lock(pid, LOCK)
        try:
            calls.checkpoint(pid)
        except CannotCheckpoint:
            # Where it is only locked it would wait for ever.
            with contextlib.suppress(CannotCheckpoint):
                calls.unlock(pid)
            raise

    def _put_back(self, pid: int) -> None:
        calls = self._calls()
        calls.restore(pid)
        calls.unlock(pid)


def main(argv: list[str]) -> int:
    """The process: ``python -m bentofn.runtime.cuda.controller FD``."""
    wire = socket.socket(fileno=int(argv[0]))
    wire.set_inheritable(False)
    _Orders(wire).serve()
    os._exit(0)  # threads may wait for the driver


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
