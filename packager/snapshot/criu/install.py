"""Install a fit CRIU: the script beside this file does it, with apt; here is who watches it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from bentofn.packager.snapshot.criu.binary import Criu, CriuUnfit, find_criu
from bentofn.packager.snapshot.criu.check import why_no_host
from bentofn.packager.snapshot.criu.installed import INSTALLED
from bentofn.packager.snapshot.criu.kdat import ensure_kdat
from bentofn.runtime.errors import UserError

SCRIPT = Path(__file__).with_name("install-criu.sh")
"""Needs a shell, apt and dpkg; run by itself it does the same."""


def fit_criu() -> Criu | None:
    """The CRIU that is there already and can be used."""
    try:
        return find_criu()
    except CriuUnfit:
        return None


def install_criu(report: Callable[[str], None], folder: Path = INSTALLED) -> Criu:
    """Install a CRIU and make sure that it works here.

    Args:
        report: Told what takes a while.
        folder: Where it goes, in a folder of its version.

    Raises:
        CriuUnfit: It is installed and cannot be used; the message says why.
        UserError: It cannot be installed; nothing is left of the attempt.
    """
    refusal = why_no_host()
    if refusal is not None:
        raise CriuUnfit(refusal)
    report("Installing Debian's CRIU, with signatures checked")
    run_script(folder)
    criu = find_criu()
    ensure_kdat(criu)
    return criu


def run_script(folder: Path) -> str:
    """Run the script to its end; returns what it says.

    Raises:
        UserError: It failed; the message is its own.
    """
    # In a session of its own, so that on Ctrl-C it and apt are told once, and it cleans up.
    running = subprocess.Popen(
        ["sh", str(SCRIPT), str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    try:
        said, problem = running.communicate()
    except BaseException:
        os.killpg(running.pid, signal.SIGTERM)
        running.communicate()
        raise
    if running.returncode != 0:
        lines = problem.strip().splitlines()
        raise UserError(lines[-1] if lines else f"{SCRIPT} failed without a word.")
    return said.strip()
