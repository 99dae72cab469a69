"""Compiles what a start imports ahead of time, with bytes that do not depend on this machine.

The .pyc are unchecked and hash-based (PEP 552): valid whatever a file's time is. The path inside a
code object is the one in the artifact (``/opt/bento/...``); where a root stands elsewhere, as on
the local platform, the import system replaces it by the real path when it loads the file, so
tracebacks find their source lines on every target.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bentofn.packager.environment.target import Target
from bentofn.packager.layers import LayerFile
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX

MOST_WORKERS = 8


@dataclass(frozen=True)
class Broken:
    """A file that cannot be compiled.

    Args:
        path: Its path below the place, with ``/``.
        line: The line of the mistake, from 1.
        message: What the compiler says.
    """

    path: str
    line: int
    message: str


def cache_path(path: str, target: Target) -> str:
    """Where the import system looks for the bytecode of a file (PEP 3147)."""
    source = PurePosixPath(path)
    tag = f"cpython-{target.python.replace('.', '')}"
    return (source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc").as_posix()


def compile_files(
    files: Mapping[str, Path], place: str, target: Target, output: Path
) -> tuple[list[LayerFile], list[Broken]]:
    """Compile Python files with the target's interpreter.

    Args:
        files: Path below the place to the file on this machine; others than ``.py`` are skipped.
        place: ``src``, ``runtime`` or ``env``.
        target: Whose interpreter compiles.
        output: A folder for the bytecode; what it has already is not compiled again.

    Returns:
        The bytecode as layer entries, and the files that could not be compiled.
    """
    paths = sorted(path for path in files if path.endswith(".py"))
    jobs = [
        [
            str(files[path]),
            f"/{ARCHIVE_PREFIX}/{place}/{path}",
            str(output / cache_path(path, target)),
        ]
        for path in paths
        if not (output / cache_path(path, target)).exists()
    ]
    broken = _run(jobs, target) if jobs else []
    by_source = {str(files[path]): path for path in paths}
    entries = [
        LayerFile(
            path=f"{ARCHIVE_PREFIX}/{place}/{cache_path(path, target)}",
            source=output / cache_path(path, target),
        )
        for path in paths
        if (output / cache_path(path, target)).exists()
    ]
    return entries, [Broken(by_source[source], line, text) for source, line, text in broken]


def refuse_broken(broken: Sequence[Broken]) -> None:
    """Fail if a file of the project cannot be compiled.

    Raises:
        UserError: There is one; the message names file and line.
    """
    if not broken:
        return
    first = min(broken, key=lambda item: item.path)
    more = f" ({len(broken) - 1} more files fail too)" if len(broken) > 1 else ""
    raise UserError(
        f"{first.path}:{first.line}: {first.message}; mend it, or list the file in .bentoignore"
        f"{more}."
    )


def files_below(place: str, files: Iterable[str]) -> list[str]:
    """The Python files below a place, relative to it, sorted.

    Args:
        place: ``src``, ``runtime`` or ``env``.
        files: Files as ``place/path``, as the describe process gives them.
    """
    prefix = f"{place}/"
    return sorted(f[len(prefix) :] for f in files if f.startswith(prefix) and f.endswith(".py"))


def _run(jobs: Sequence[Sequence[str]], target: Target) -> list[tuple[str, int, str]]:
    script = Path(__file__).with_name("compile_script.py")
    # A fixed seed, because the order of a frozenset constant follows the hashes of its strings.
    environment = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
    workers = min(MOST_WORKERS, os.cpu_count() or 1, len(jobs))
    # Not -I, which would ignore the seed; -S, -c and an emptied environment isolate as well.
    with subprocess.Popen(
        [str(target.interpreter), "-S", "-B", "-W", "ignore", "-c", script.read_text()],
        cwd="/",
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(json.dumps({"workers": workers, "jobs": jobs}))
        except BaseException:
            # Its workers too, or they would go on writing where everything is being removed.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise UserError(f"{target.interpreter} cannot compile Python files: {_last_line(stderr)}.")
    complaints = list(_complaints(stdout.splitlines()))
    if any(message.startswith(f"[Errno {errno.ENOSPC}]") for _, _, message in complaints):
        # Not the files' fault: without this, a bento would lack their bytecode for good.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return complaints


def _complaints(lines: Iterable[str]) -> Iterable[tuple[str, int, str]]:
    for line in lines:
        source, number, message = json.loads(line)
        yield source, number, message


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it says nothing"
