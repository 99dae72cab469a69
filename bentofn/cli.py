"""The entry point: runs a command and turns every ending into an exit code and one sentence.

Click and the commands are imported inside :func:`main`, so that Ctrl-C is answered the same while
they load.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

INTERRUPTED = "Interrupted; nothing is damaged. Run it again to finish it."
TERMINATED = "Terminated; nothing is damaged. Run it again to finish it."


class Terminated(KeyboardInterrupt):
    """SIGTERM: unwinds the stack as Ctrl-C does, so that nothing is left behind."""


def main() -> None:
    """Run the command line; exit 0 when done, 1 with one sentence on failure, 2 on wrong usage."""
    _open_missing_streams()
    try:
        signal.signal(signal.SIGTERM, _terminate)
        status = _run()
        _let_end()
    except KeyboardInterrupt as error:
        _remove_leftovers()
        fail(TERMINATED if isinstance(error, Terminated) else INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has gone; the interpreter must not try to flush it either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    sys.exit(status)


def _run() -> int:
    try:
        from bentofn.commands.root import cli

        result = cli.main(standalone_mode=False)
    except SystemExit:
        raise
    except BaseException as error:
        raised = _signal_behind(error)
        if raised is not None:
            raise raised from None
        return _told(error)
    return result if isinstance(result, int) else 0


def _signal_behind(error: BaseException) -> KeyboardInterrupt | None:
    """What a signal raised, if an error came of that.

    It is raised in the midst of whatever runs, which may make another error of it: click does, and
    Python before 3.12 while a class is made (``Error calling __set_name__``).
    """
    seen: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if isinstance(each, KeyboardInterrupt):
            return each
        if each is not None and not any(each is other for other in seen):
            seen.append(each)
            pending += [each.__cause__, each.__context__]
    return None


def _told(error: BaseException) -> int:
    """Say in a sentence why a command failed; what is nobody's mistake but ours is raised again."""
    import click

    from bentofn.runtime.errors import UserError

    if isinstance(error, click.Abort):
        raise KeyboardInterrupt from None
    if isinstance(error, click.UsageError):
        _print_document(error.format_message())
        error.show()
        return error.exit_code
    if isinstance(error, click.ClickException):
        fail(error.format_message())
    if isinstance(error, UserError):
        fail(str(error))
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        fail(_of_the_system(error))
    raise error


def _let_end() -> None:
    """Nothing is left to be undone: Ctrl-C comes too late, and SIGTERM ends what hangs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _remove_leftovers() -> None:
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    from bentofn.packager.home import Home, remove_own_leftovers

    with contextlib.suppress(OSError):
        remove_own_leftovers(Home.default())


def _of_the_system(error: OSError) -> str:
    what = error.strerror or str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{what}; check the path, its permissions and the free space, then run it again."


def fail(sentence: str) -> NoReturn:
    """Print one sentence and exit with status 1; with ``--json`` as a document on stdout too."""
    _let_end()
    with contextlib.suppress(OSError):
        _print_document(sentence)
    with contextlib.suppress(OSError):
        print(f"Error: {sentence}", file=sys.stderr, flush=True)
    sys.exit(1)


def _print_document(sentence: str) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"error": sentence}), flush=True)


def _open_missing_streams() -> None:
    """A caller may have closed stdout or stderr (``>&-``), which Python then sets to None."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated
