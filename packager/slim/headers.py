"""Which of torch's headers ``torch.compile`` and AOTInductor compile with.

A service that compiles C++ while it serves needs them, and no more of them: those that torch's own
code generator names, and what these include.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

GENERATOR = "torch/_inductor/"
"""The package that writes C++, in Python with pieces of C++ beside it."""

_INCLUDES = ("torch/include", "torch/include/torch/csrc/api/include")
"""Where torch has a compiler look (``torch.utils.cpp_extension.include_paths``)."""

_NAMED = re.compile(r"\b(?:ATen|c10|torch)/[\w{}./-]+\.h(?:pp)?\b")
_CHOSEN = re.compile(r"\\\{[^/]*?\\\}")
"""A part of a name that the generator chooses: ``torch/csrc/inductor/aoti_include/{device}.h``."""

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"]', re.MULTILINE)


def compiled_with(tree: Path, files: Iterable[str]) -> set[str]:
    """The headers of torch that its compilers need.

    Args:
        tree: The environment.
        files: All of its files, relative to it.

    Returns:
        Paths relative to the environment; none where torch is not in it.
    """
    everything = set(files)
    generator = [path for path in everything if path.startswith(GENERATOR)]
    found: set[str] = set()
    following = [
        header
        for path in generator
        if path.endswith((".py", ".h", ".cpp", ".jinja"))
        for header in _named(_text(tree / path), everything)
    ]
    while following:
        path = following.pop()
        if path not in found:
            found.add(path)
            following += _included(path, _text(tree / path), everything)
    return found


def _named(text: str, files: Collection[str]) -> Iterator[str]:
    """The headers that the generator's text names."""
    for name in set(_NAMED.findall(text)):
        path = f"{_INCLUDES[0]}/{name}"
        if path in files:
            yield path
        elif "{" in name:
            pattern = re.compile(_CHOSEN.sub("[^/]+", re.escape(path)))
            yield from filter(pattern.fullmatch, files)


def _included(path: str, text: str, files: Collection[str]) -> Iterator[str]:
    """The headers that a header includes, but for those of others."""
    for name in _INCLUDE.findall(text):
        places = (posixpath.dirname(path), *_INCLUDES)
        candidates = (posixpath.normpath(f"{place}/{name}") for place in places)
        yield from (each for each in candidates if each in files)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
