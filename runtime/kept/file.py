"""Files that a service makes once for a class of machines, and keeps: AOTInductor packages, engines
of TensorRT and the like."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bentofn.runtime.errors import UserError
from bentofn.runtime.kept import start
from bentofn.runtime.kept.hooks import same_options
from bentofn.runtime.layout import BentoRoot


def kept_file(name: str, make: Callable[[Path], object]) -> Path:
    """The file of a name, made where nothing that is kept fits this machine.

    What is made while the examples are answered is kept with the bento, as what torch.compile and
    Triton make is::

        package = bentofn.kept_file("encoder.pt2", lambda path: export(model, str(path)))
        self.encoder = torch._inductor.aoti_load_package(str(package))

    In a project that is not built, and in a bento without torch and Triton or with variables that
    say where these compile, it is made every time.

    Args:
        name: The file's name, with the ending that its readers want.
        make: Writes it, to the path that it is given.

    Returns:
        Where it is, to be read; copies of this process find it there too.

    Raises:
        UserError: The name is a path, or nothing was written.
        Exception: Whatever ``make`` raises.
    """
    if name != os.path.basename(name) or name in ("", ".", ".."):  # noqa: PTH119
        raise UserError(f"kept_file takes the name of a file, not {name!r}.")
    directory = start.own_directory() or _temporary()
    path = directory / name
    if path.exists():
        return path.resolve()  # a copy of this process has another directory, and its own links
    began = time.monotonic()
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, suffix=".tmp") as making:
        made = Path(making, name)
        with same_options():
            make(made)
        if not made.is_file():
            raise UserError(f"kept_file({name!r}): nothing was written to the path that was given.")
        made.replace(path)  # another process may have been first
    start.made(name, time.monotonic() - began)
    return path


def _temporary() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="bentofn-kept-"))
    if BentoRoot.current() is None:  # else the process may be copied, and this one's end is not all
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory
