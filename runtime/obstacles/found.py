"""An obstacle to a snapshot, and the sentences that are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HOOK = "in a method marked @bentofn.after_restore"
_SHOWN = 5
_DONE = {
    "open": "opened",
    "start": "started",
    "take": "taken",
    "bind": "bound",
    "create": "created",
}


@dataclass(frozen=True)
class Obstacle:
    """Something that a snapshot cannot hold.

    Args:
        what: What the service does: ``holds a connection to db.internal:5432``.
        where: The line that did it, such as ``store.py:31 (Store.__init__)``; empty if not known.
        verb: What the hook does instead: ``open``, ``start``, ``take``, ``bind`` or ``create``.
        advice: What to do, where moving it into the hook is not the answer.
        blocks: Whether there can be no snapshot; otherwise a restore may fail later.
        path: The file that it is about, of which one sentence is enough.
    """

    what: str
    where: str = ""
    verb: str = "open"
    advice: str = ""
    blocks: bool = True
    path: str = ""

    @property
    def found(self) -> str:
        """What it is and where it comes from."""
        return f"{self.what}, {_DONE[self.verb]} in {self.where}" if self.where else self.what

    @property
    def remedy(self) -> str:
        """What to do."""
        return self.advice or f"{self.verb} it {HOOK}"


def sentence(obstacles: Sequence[Obstacle]) -> str:
    """One sentence for what was found, without its full stop.

    Args:
        obstacles: At least one.
    """
    shown = [obstacle.found for obstacle in obstacles[:_SHOWN]]
    if len(obstacles) > _SHOWN:
        shown.append(f"{len(obstacles) - _SHOWN} more")
    remedies = dict.fromkeys(obstacle.remedy for obstacle in obstacles)
    verbs = dict.fromkeys(obstacle.verb for obstacle in obstacles if not obstacle.advice)
    if len(obstacles) > 1 and verbs:
        advice = [obstacle.advice for obstacle in obstacles if obstacle.advice]
        remedies = dict.fromkeys([f"{' and '.join(verbs)} them {HOOK}", *advice])
    return f"the service {', and '.join(shown)}; {', and '.join(remedies)}"


def warnings(obstacles: Sequence[Obstacle]) -> list[str]:
    """What to tell before a snapshot is taken: nothing, or a sentence or two."""
    blocking = [obstacle for obstacle in obstacles if obstacle.blocks]
    others = [obstacle for obstacle in obstacles if not obstacle.blocks]
    found = []
    if blocking:
        found.append(f"No snapshot of this service can be restored: {sentence(blocking)}.")
    if others:
        found.append(f"A restore of this service may fail: {sentence(others)}.")
    return found
