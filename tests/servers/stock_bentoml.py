"""Stock BentoML in an environment of its own, which is made once and kept."""

from __future__ import annotations

import sys
from pathlib import Path

from environments import cache, environment

from bentofn.packager.home import Home

VERSION = "1.4.39"
PACKAGES = (f"bentoml=={VERSION}", "pandas", "pillow", "torch==2.13.0", "fastapi")


def stock_python(home: Path) -> Path:
    """The interpreter of an environment with stock BentoML.

    Args:
        home: A folder for the installer.

    Raises:
        UserError: It cannot be installed.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    target = cache() / f"bentoml-{VERSION}-python{python}"
    return environment(target, PACKAGES, Home(home), mark=" ".join(PACKAGES))
