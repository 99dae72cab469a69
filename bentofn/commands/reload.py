"""`bentofn serve --reload`: the server starts again when the project's code changes."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from bentofn.runtime.errors import UserError

OPTION = "--reload"

_ALSO = (".toml", ".yaml", ".yml")
"""Files that count beside those of Python."""


def serve_again_on_change(folder: Path) -> None:
    """Run this command without the option, again after each change, until Ctrl-C.

    Args:
        folder: Where a change counts.

    Raises:
        UserError: watchfiles is not installed.
    """
    try:
        from watchfiles import PythonFilter, run_process
    except ImportError:
        raise UserError(
            f"{OPTION} needs the package watchfiles; install it with pip install 'bentofn[reload]'."
        ) from None
    command = shlex.join(each for each in sys.orig_argv if each != OPTION)
    run_process(
        folder,
        target=command,
        target_type="command",
        watch_filter=PythonFilter(extra_extensions=_ALSO),
    )
