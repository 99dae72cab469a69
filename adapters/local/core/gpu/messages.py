"""What a ledger of GPUs is told, and what it says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """What an instance needs.

    Args:
        kind: Instances of one kind need alike: those of a version of a function.
        count: GPUs.
        memory: Bytes on each; None for what instances of the kind were seen to need.
    """

    kind: str
    count: int = 1
    memory: int | None = None


@dataclass(frozen=True)
class Wanted:
    """An instance is to be started; answered by :class:`Granted` or :class:`Impossible`."""

    instance: str
    claim: Claim
    urgent: bool = True


@dataclass(frozen=True)
class Seen:
    """How an instance stands.

    Args:
        instance: It.
        idle: Whether it serves and has no request.
        urgent: Whether requests wait for it: others make room only then.
        serves: Whether it takes or answers requests; one that does no more is about to go.
    """

    instance: str
    idle: bool = False
    urgent: bool = True
    serves: bool = True


@dataclass(frozen=True)
class Gone:
    """An instance has no memory on a GPU any more, or does not wait any more.

    Args:
        instance: It.
        used: Bytes of its GPU that were used, by whomever: by it alone where it had the GPU for
            itself. None where nobody knows.
        reserved: Bytes that its framework has had at most; 0 where nobody knows.
    """

    instance: str
    used: int | None = None
    reserved: int = 0


@dataclass(frozen=True)
class Forgotten:
    """There will be no more instances of a kind."""

    kind: str


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = Wanted | Seen | Gone | Forgotten | Tick


@dataclass(frozen=True)
class Granted:
    """An instance may start, on these GPUs."""

    instance: str
    gpus: tuple[str, ...]


@dataclass(frozen=True)
class Evict:
    """An instance is to go: at once where it is idle, else when it has answered what it has."""

    instance: str


@dataclass(frozen=True)
class Waits:
    """An instance has waited for a while, for others that are busy; said once."""

    instance: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Impossible:
    """An instance can never start here; the reason is a sentence."""

    instance: str
    reason: str


@dataclass(frozen=True)
class WakeAt:
    """Send a Tick at this time; it replaces an earlier one."""

    time: float


Command = Granted | Evict | Waits | Impossible | WakeAt
