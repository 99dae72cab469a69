"""What compilers wrote, without what only the process that ran them had: the same service gives the
same bytes, and none of them tell where it was built.

The runtime's hooks see to the rest: C++ is compiled as if it stood in an image, and no time that a
compilation took is kept. What differs all the same is what torch measures: what autotuning chose
(``max-autotune``, ``best_config`` of Triton's kernels) and the times beside it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from bentofn.runtime.kept.overlay import INDUCTOR, TRITON
from bentofn.runtime.layout import ARCHIVE_PREFIX

LENGTH = 160
"""Characters of the path of a folder in which a build tries services: paths of one length are
replaced in place, in programs and pickles too."""

_PLACE = f"/{ARCHIVE_PREFIX}".encode()
_ADDRESS = re.compile(rb"(?<= at 0x)[0-9a-f]{8,16}(?=>)")
"""That of an object, in what torch notes of how it came to a key."""

_BY_CONTENT = re.compile(r"inductor/(fxgraph/[^/]+|aotautograd)/[^/]+/[^/]+")
"""Files whose names are digests of what they hold, and which torch finds by any name
(``FxGraphCache._write_to_local_cache``)."""


def trials_folder(scratch: Path) -> Path:
    """A path below a folder, of :data:`LENGTH` characters where that one is no longer."""
    missing = LENGTH - len(str(scratch)) - 1
    return scratch / ("-" * missing) if missing > 0 else scratch


def is_own(path: str) -> bool:
    """Whether a service made a file itself; these are kept as they are."""
    return PurePosixPath(path).parts[0] not in (INDUCTOR, TRITON)


def normal(path: str, data: bytes, places: Sequence[str]) -> tuple[str, bytes]:
    """A file as it is kept.

    Args:
        path: Where it stands, such as ``inductor/ab/cab.so``.
        data: What it holds.
        places: Where the service and its compilers stood, without ``/`` at the end.

    Returns:
        Its path and what it holds, as long as before.
    """
    for place in filter(lambda each: len(each) >= len(_PLACE), places):
        data = data.replace(place.encode(), _PLACE.ljust(len(place.encode()), b"/"))
    data = _ADDRESS.sub(lambda match: b"0" * len(match[0]), data)
    if _BY_CONTENT.fullmatch(path):
        path = str(PurePosixPath(path).with_name(hashlib.sha256(data).hexdigest()))
    return path, data
