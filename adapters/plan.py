"""What an apply would do, said beforehand: what differs, what is sent, what does not fit, what it
costs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from bentofn.adapters.load import Load
from bentofn.runtime.errors import UserError

ProblemKind = Literal["violation", "refused", "public", "differs", "emulated", "ignored"]

_BLOCKING: tuple[ProblemKind, ...] = ("violation", "refused")
_ORDER: tuple[ProblemKind, ...] = (
    "violation", "refused", "public", "differs", "ignored", "emulated",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """What will differ: a named resource or one of its fields.

    Args:
        path: Which: ``function``, ``alias live``, ``memorySize``, ``environment.NAME``...
        before: What it is, or None where it is not there.
        after: What it will be, or None where it goes. Of variables and secrets neither ever holds
            the value, only ``set`` and ``changed``.
    """

    path: str
    before: Any
    after: Any

    @property
    def action(self) -> Literal["create", "update", "delete"]:
        """What is done."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "update"


@dataclass(frozen=True)
class Problem:
    """What of the spec does not fit the target, or is to be known before it is applied.

    Args:
        kind: ``violation`` (of a rule of the target's) and ``refused`` (the target has nothing of
            the kind) keep it from being applied; ``public`` (anybody may call it), ``differs`` (the
            target does it otherwise), ``emulated`` (bentofn's runtime does it there) and
            ``ignored`` (nothing is done) do not.
        field: The field's name, as in ``serverless.yml``; empty where it is about the whole.
        sentence: One sentence: what, why, what to do.
    """

    kind: ProblemKind
    field: str
    sentence: str


@dataclass(frozen=True)
class Upload:
    """What is sent, or would be if it were not there.

    Args:
        what: Which part: a layer, the code, the image.
        bytes: Its size as it travels.
        present: Whether the target has it already, so that nothing is sent.
    """

    what: str
    bytes: int
    present: bool


@dataclass(frozen=True)
class CostPart:
    """One line of a bill.

    Args:
        what: What is charged.
        per_month: How much.
    """

    what: str
    per_month: float


@dataclass(frozen=True)
class Cost:
    """What a month would cost, by the target's public prices and without free tiers.

    Args:
        load: For how many requests.
        parts: What it is made of.
        currency: ISO 4217.
        note: Where the prices are from, and what is left out.
    """

    load: Load
    parts: tuple[CostPart, ...]
    currency: str = "USD"
    note: str = ""

    @property
    def per_month(self) -> float:
        """The sum."""
        return sum(part.per_month for part in self.parts)


@dataclass(frozen=True)
class Plan:
    """What an apply would do.

    Args:
        target: Where.
        function: Which.
        changes: What will differ; empty where nothing will.
        uploads: What is sent, and what is there already.
        problems: What does not fit.
        cost: What it would cost, where a load was given.
    """

    target: str
    function: str
    changes: tuple[Change, ...] = ()
    uploads: tuple[Upload, ...] = ()
    problems: tuple[Problem, ...] = ()
    cost: Cost | None = None

    @property
    def ok(self) -> bool:
        """Whether it can be applied."""
        return not any(problem.kind in _BLOCKING for problem in self.problems)

    def check(self) -> None:
        """Refuse it if it cannot be applied.

        Raises:
            UserError: With the sentences of the violations and refusals.
        """
        check(self.target, self.function, self.problems)

    def to_json(self) -> dict[str, Any]:
        """Plain data for machines."""
        plain = dataclasses.asdict(self)
        plain["ok"] = self.ok
        for change, raw in zip(self.changes, plain["changes"], strict=True):
            raw["action"] = change.action
        if self.cost is not None:
            plain["cost"]["per_month"] = self.cost.per_month
        return plain


def check(target: str, function: str, problems: tuple[Problem, ...]) -> None:
    """Refuse what has violations or refusals.

    Raises:
        UserError: With their sentences.
    """
    sentences = [each.sentence for each in problems if each.kind in _BLOCKING]
    if sentences:
        raise UserError(f"Target {target} does not take {function}: {' '.join(sentences)}")


def in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """Problems, those that keep the function from being applied first."""
    return tuple(sorted(problems, key=lambda each: _ORDER.index(each.kind)))
