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

INTERRUPTED = "Interrupted; nothing is left half-done. Run it again to finish it."


class Terminated(BaseException):
    """SIGTERM: unwinds the stack as Ctrl-C does, so that nothing is left behind."""


def main() -> None:
    """Run the command line; exit 0 when done, 1 with one sentence on failure, 2 on wrong usage."""
    _open_missing_streams()
    try:
        signal.signal(signal.SIGTERM, _terminate)
        status = _run()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # too late: it is done
    except KeyboardInterrupt:
        _remove_leftovers()
        fail(INTERRUPTED)
    except Terminated:
        _remove_leftovers()
        fail("Terminated; nothing is left half-done.")
    except BrokenPipeError:
        # Whoever read the output has gone; the interpreter must not try to flush it either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    sys.exit(status)


def _run() -> int:
    import click

    from bentofn.commands.root import cli
    from bentofn.runtime.errors import UserError

    try:
        result = cli.main(standalone_mode=False)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.UsageError as error:
        _print_document(error.format_message())
        error.show()
        return error.exit_code
    except click.ClickException as error:
        fail(error.format_message())
    except UserError as error:
        fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        fail(_of_the_system(error))
    return result if isinstance(result, int) else 0


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
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
