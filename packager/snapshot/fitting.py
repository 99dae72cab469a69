"""Which of a bento's snapshots fit this machine, said before they are fetched."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace

from bentofn.packager.arriving_referrers import Read
from bentofn.packager.environment.target import find_interpreter
from bentofn.packager.home import Home
from bentofn.packager.roots.standing import root_of
from bentofn.packager.snapshot.criu.binary import find_criu
from bentofn.packager.snapshot.host import this_host
from bentofn.packager.snapshot.key import FORMAT, SnapshotKey, describe_interpreter, locale_of
from bentofn.packager.snapshot.layer import check_referrer, read_record
from bentofn.packager.snapshot.mapped import what_changed
from bentofn.packager.snapshot.snapshot import Snapshot
from bentofn.packager.store.referrers import Referrer
from bentofn.runtime.errors import UserError

_MINOR = re.compile(r"3\.\d{1,3}(?=\.)")


@dataclass
class Fitting:
    """Judges the snapshots of a bento that arrives, and keeps what it said.

    Args:
        home: Where the bento will be.
        keys: Of the snapshots that fit.
        left: Id and reason of those that do not.
    """

    home: Home
    keys: list[SnapshotKey] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, referrer: Referrer, read: Read, bento: str) -> bool:
        """Whether a snapshot fits; what is wrong with one that does not is in :attr:`left`."""
        try:
            check_referrer(referrer)
            found = read_record(read(referrer.layers[0]), bento).snapshot
            problem = found.key.mismatch(key_here(self.home, found.key))
            if problem is None:
                changed = what_changed(found.mapped, trust_times=False)
                problem = changed and f"cannot be used: {changed}"
        except UserError as error:
            self.left.append((referrer.manifest.digest, f"cannot be used: {error}"))
            return False
        if problem is None:
            self.keys.append(found.key)
        else:
            self.left.append((found.id, problem))
        return problem is None


def may_travel(home: Home, snapshot: Snapshot) -> bool:
    """Whether a snapshot is of use to others: no secrets, and of the bento where all unpack it.

    A platform that mounts its bentos takes snapshots that are its own.
    """
    return snapshot.shareable and snapshot.key.root == str(root_of(home, snapshot.key.bento))


def key_here(home: Home, key: SnapshotKey) -> SnapshotKey:
    """The key that a snapshot of the same bento, with what the bento declares, would have here.

    Raises:
        UserError: This machine has no such Python, or no fit CRIU.
    """
    minor = _MINOR.match(key.python.version)
    if minor is None:
        raise UserError(f"it was taken with {key.python.version!r}, which is no version of Python")
    return replace(
        key,
        root=str(root_of(home, key.bento)),
        python=describe_interpreter(find_interpreter(minor.group())),
        host=this_host(),
        criu=find_criu().version,
        locale=locale_of(os.environ),
        format=FORMAT,
    )
