"""The ``lambda`` process: AWS's own runtime interface client, on a bento's import path.

It is what ``/var/runtime/bootstrap.py`` is on Lambda: the client runs unmodified, as by
``python -m awslambdaric HANDLER``, behind whatever the function brings along itself.
"""

from __future__ import annotations

import gc
import os
import runpy
import sys
from collections.abc import Mapping

from bentofn.runtime import lifeline
from bentofn.runtime.namespaces import Namespaces, isolate

SIGNALLED = 128
"""What is added to a signal's number in the exit status of a process 1 whose child it ended."""


def main(options: Mapping[str, str]) -> int:
    """Ask the Runtime API for work until it ends.

    Args:
        options: ``handler``, as ``module.function``, and ``client``, the directory of awslambdaric.
    """
    gc.enable()  # the handler may be any code
    lifeline.die_with_parent()
    isolate(Namespaces.find(), os.environ)()
    if os.getpid() == 1:
        _stay_behind()
    sys.path.append(options["client"])
    sys.argv = ["awslambdaric", options["handler"]]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
    return 0


def _stay_behind() -> None:
    """Leave a child to do the work, since the kernel spares a process 1 its own signals.

    A function that kills itself dies on Lambda, where it is no process 1 either.
    """
    child = os.fork()
    if child == 0:
        return
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else SIGNALLED - code)
