"""What a pickle would import when it is loaded, found without importing or running any of it.

A pickle is a program for a small machine: whatever it imports it may call. It is run here by
Python's own such machine, with an inert stand-in for every object that it names, so that nothing is
missed by looking at the text alone. joblib's files are pickles with the bytes of arrays between
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

from bentofn.packager.trust.pickle_machine import Found, Global, Machine, UnknowableError
from bentofn.packager.trust.pickle_names import is_dangerous, is_hostile, is_plain
from bentofn.packager.trust.unpacked import open_unpacked

_PROTO = b"\x80"


@dataclass(frozen=True)
class PickleReport:
    """What a file would import, each as ``module.name``, sorted.

    Args:
        dangerous: What can do harm when it is called.
        other: What is in packages of which nothing is known.
        plain: Plain types of the standard library.
        broken: Whether it could not be followed to its end.
    """

    dangerous: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    broken: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All of it."""
        return tuple(sorted({*self.dangerous, *self.other, *self.plain}))

    @property
    def hostile(self) -> tuple[str, ...]:
        """What runs commands, and is in no model."""
        return tuple(name for name in self.names if is_hostile(name))


def read_pickles(file: IO[bytes]) -> PickleReport:
    """Look through a stream of pickles, or a joblib file, compressed or not.

    Args:
        file: The stream, at the first pickle; what follows the last is not looked at.
    """
    found = Found()
    broken = False
    try:
        reader = open_unpacked(file)
        first = True
        while first or reader.peek(1).startswith(_PROTO):
            named = len(found.names)
            broken = True
            try:
                Machine(reader, found).load()
                broken = False
            except UnknowableError:
                raise
            except Exception:
                # What follows the pickles of torch's old format may look like one, and names none.
                broken = first or len(found.names) > named
                break
            first = False
    except Exception:
        # Whatever hostile bytes do to the machine, it is not a pickle that anybody can load.
        broken = True
    return _report(found.names, broken)


def _report(names: set[Global], broken: bool) -> PickleReport:
    dangerous = {each for each in names if is_dangerous(*each)}
    plain = {each for each in names if is_plain(*each)}
    return PickleReport(
        dangerous=tuple(sorted(map(".".join, dangerous))),
        other=tuple(sorted(map(".".join, names - dangerous - plain))),
        plain=tuple(sorted(map(".".join, plain))),
        broken=broken,
    )
