"""A process of a service dies with the platform that started it.

Two ways, since neither is enough: Linux kills the process when its parent dies
(``PR_SET_PDEATHSIG``), whatever it is doing; and the control socket reports end of file everywhere,
to whoever listens.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from select import POLLIN, poll
from types import TracebackType

DIE_WITH_PARENT = (1, 9, 0, 0, 0)
"""Arguments of prctl(2): PR_SET_PDEATHSIG of linux/prctl.h, SIGKILL."""


def die_with_parent() -> None:
    """Ask Linux to kill this process when the thread that started it ends; elsewhere nothing.

    The parent may be gone already: check that afterwards (:func:`check`, or ``os.getppid``).
    """
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(*DIE_WITH_PARENT)


def check(control: socket.socket) -> None:
    """Exit at once if the platform has closed its end of the control socket.

    Cheap, takes nothing from the socket, and may be called whenever the socket is readable.
    """
    try:
        gone = control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return
    except OSError:
        gone = True
    if gone:
        os._exit(1)


def heed(control: socket.socket) -> bool:
    """Exit if the platform has gone; otherwise there is nothing to do."""
    check(control)
    return False


class Watch:
    """Watches the control socket from a thread while the main thread is busy constructing.

    The thread has ended when the block is left, so that what follows may fork.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="bentofn-lifeline", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A child that was forked meanwhile has the pipe too: closing our end alone wakes nobody.
        os.write(self._wake_write, b"\n")
        self._thread.join()
        os.close(self._wake_write)
        os.close(self._wake_read)

    def _run(self) -> None:
        poller = poll()
        poller.register(self._control, POLLIN)
        poller.register(self._wake_read, POLLIN)
        ready = {fd for fd, _ in poller.poll()}
        if self._wake_read not in ready:
            # Either the end, or a message that waits for the main thread.
            check(self._control)
