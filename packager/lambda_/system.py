"""Which packages need a newer C library than Lambda's system has.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html (the systems),
https://docs.aws.amazon.com/linux/al2023/ug/compare-with-al2.html (their C libraries) and
https://peps.python.org/pep-0600/ (what a wheel's tag says).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_AMAZON_LINUX_2 = (2, 26)
_AMAZON_LINUX_2023 = (2, 34)
_ON_2 = ("3.10", "3.11")

_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_TAG = re.compile(r"^Tag: .*-(manylinux(?:1|2010|2014)|manylinux_(\d+)_(\d+))_", re.MULTILINE)
_METADATA = re.compile(r"(?:.+/)?([^/]+)\.dist-info/WHEEL")


def wheel_of(path: str) -> str | None:
    """Name and version of the package whose ``WHEEL`` a file is, or None."""
    match = _METADATA.fullmatch(path)
    return match[1] if match else None


def glibc_of(wheel: str) -> tuple[int, int] | None:
    """The oldest C library that a wheel says it runs with; None where it says nothing.

    Args:
        wheel: Its ``WHEEL`` file.
    """
    found = [
        (int(match[2]), int(match[3])) if match[2] else _LEGACY[match[1]]
        for match in _TAG.finditer(wheel)
    ]
    return min(found, default=None)


def too_new(needs: Mapping[str, tuple[int, int]], python: str) -> Iterator[str]:
    """A sentence for the packages that do not run on Lambda.

    Args:
        needs: Package to the C library that it needs.
        python: The bento's Python.
    """
    has = _AMAZON_LINUX_2 if python in _ON_2 else _AMAZON_LINUX_2023
    wrong = sorted(name for name, library in needs.items() if library > has)
    if wrong:
        newer = (
            "build it for Python 3.12 or later (runtime: python3.12), whose system is newer, or "
            "take older ones"
        )
        remedy = newer if has == _AMAZON_LINUX_2 else "build it with --platform, or take older ones"
        yield (
            f"Lambda's Python {python} stands on glibc {has[0]}.{has[1]}, and "
            f"{', '.join(wrong)} of the bento's packages need a newer one: {remedy}."
        )
