"""The directory that compilers read and write: links to what is kept, and what they add.

A bento's root is read-only and shared; the compilers write into their directory all the time
(locks, a source before they compile it). A link keeps a file's time, and a snapshot maps what it
leads to.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from bentofn.runtime.kept.layer import FILES

INDUCTOR, TRITON = "inductor", "triton"
OWN = "own"
"""What a service keeps itself, see :mod:`bentofn.runtime.kept.file`."""

PROGRAMS = "bin"

VARIABLES = {
    "TORCHINDUCTOR_CACHE_DIR": INDUCTOR,
    "TRITON_CACHE_DIR": TRITON,
}
"""Variable by which a library finds its directory, to its name."""

_GROUP = "__grp__"
"""Names of Triton's lists of a kernel's files begin so; a copy of each is made."""

_STUB = """#!/bin/sh
case "$*" in
{cases}esac
echo "bentofn: this instance has no C++ compiler, and what it should compile is not in the bento: \
declare an example that uses it and build again, or install g++ in the image" >&2
exit 1
"""


def lay(writes: Path, kept: Path | None) -> None:
    """Make the directory, with a link to every file that is kept.

    Args:
        writes: The directory.
        kept: Where it is kept; None if nothing is.
    """
    writes.mkdir(mode=0o700, parents=True, exist_ok=True)
    if kept is None:
        return
    base = os.path.join(kept, FILES)  # noqa: PTH118 - thousands of files
    for folder, _, names in os.walk(base):
        target = writes / os.path.relpath(folder, base)
        target.mkdir(exist_ok=True)
        for name in names:
            link = target / name
            if link.exists():
                continue
            if name.startswith(_GROUP):
                link.write_bytes(_moved(Path(folder, name).read_bytes(), target))
            else:
                link.symlink_to(f"{folder}/{name}")


def _moved(group: bytes, folder: Path) -> bytes:
    """A list of a kernel's files as Triton finds them in another directory than it wrote them to.

    It has whole paths, which Triton takes as they are (``FileCacheManager.get_group`` of 3.6).
    """
    try:
        raw = json.loads(group)
        paths = {name: f"{folder}/{name}" for name in raw["child_paths"]}
        return json.dumps({**raw, "child_paths": paths}).encode()
    except (ValueError, KeyError, TypeError):
        return group  # of another version


def written(writes: Path) -> Iterator[Path]:
    """What compilers wrote themselves, without their locks and what they had not finished."""
    for folder, folders, names in os.walk(writes):
        folders[:] = sorted(
            name for name in folders if name not in ("locks", PROGRAMS, "__pycache__")
        )
        for name in sorted(names):
            path = Path(folder) / name
            is_own = not path.is_symlink() and not name.startswith(_GROUP)
            if is_own and not name.endswith((".lock", ".tmp")):
                yield path


def stand_in(writes: Path, said: Mapping[str, str]) -> None:
    """Make a ``g++`` that answers as the one did that compiled, for where there is none.

    torch asks it for its version before it looks whether it has to compile.

    Args:
        writes: The directory; the program is in its :data:`PROGRAMS`.
        said: Option to answer.
    """
    folder = writes / PROGRAMS
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    cases = ""
    for number, (option, answer) in enumerate(sorted(said.items())):
        text = folder / f"said-{number}"
        text.write_text(answer)
        cases += f'"{option}") cat "{text}"; exit 0 ;;\n'
    program = folder / "g++"
    program.write_text(_STUB.format(cases=cases))
    program.chmod(0o700)


def discard(writes: Path) -> None:
    """Remove the directory; what is not there is no error."""
    shutil.rmtree(writes, ignore_errors=True)
