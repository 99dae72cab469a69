"""Proves a slimmed environment: the service answers its own examples in it as it does without.

A service that cannot answer them on this machine either way (it needs a secret, or a GPU) proves
nothing against slimming, and an answer that is another each time is compared by its status alone.
"""

from __future__ import annotations

import base64
import json
import math
import subprocess
from collections.abc import Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.code.contract import IMPORT_LIMIT, child_environment, run_limited
from bentofn.packager.environment.target import Target
from bentofn.packager.files import remove_tree
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError
from bentofn.runtime.kept.start import VARIABLES, WRITES
from bentofn.runtime.layout import BentoRoot

TOLERANCE = 1e-5
"""How far numbers of two answers may be apart, absolutely or relatively."""

Answers = Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class Outcome:
    """What became of a service's examples in one root.

    Args:
        answers: One answer for each example; None if there was a failure.
        failure: What failed.
        last_words: The last line of what the service wrote to stderr.
        obstacles: What keeps the service from being snapshotted, one sentence each.
        unplaced: Whether one does not say where it comes from, and another run may find out.
        modules: The files of the packages' modules that were imported for it, below the root.
    """

    answers: Answers | None
    failure: str = ""
    last_words: str = ""
    obstacles: tuple[str, ...] = ()
    unplaced: bool = False
    modules: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """What failed and, if the service wrote anything else, its last line."""
        words = self.last_words
        return self.failure if words in self.failure else f"{self.failure} ({words})"


@dataclass(frozen=True)
class Trial:
    """How to run a service's examples.

    Args:
        target: Whose interpreter runs them.
        envs: The environment variables of the bento.
        home: The home.
    """

    target: Target
    envs: Mapping[str, str]
    home: Home

    def run(self, root: Path, *options: str) -> Outcome:
        """Run the examples in a root; the answer is written beside it.

        Args:
            root: The root.
            *options: Further options of the process.
        """
        output = _output(root)
        command = [str(self.target.interpreter), "-s", "-S", "-u"]
        command += [str(BentoRoot(root).boot_script), "examples"]
        command += ["--root", str(root), "--output", str(output), *options]
        environment = {**child_environment(self.envs), "BENTOFN_HOME": str(self.home.path)}
        remove_tree(self.compiles(root))
        compiling(environment, self.envs, self.compiles(root))
        output.unlink(missing_ok=True)
        try:
            status, stderr = run_limited(command, environment)
        except subprocess.TimeoutExpired:
            return Outcome(None, f"it did not end within {IMPORT_LIMIT} s")
        lines = stderr.decode(errors="replace").strip().splitlines()
        last = lines[-1][:300] if lines else ""
        outcome = _outcome(output, last)
        return outcome or Outcome(None, f"its process ended with status {status}", last)

    def compiles(self, root: Path) -> Path:
        """Where the service in a root compiles what it compiles (``bentofn.runtime.kept``)."""
        return root.with_name(f"{root.name}-compiled")

    def earlier(self, root: Path) -> Outcome | None:
        """What became of the examples in a root in which they were run already."""
        return _outcome(_output(root), "")


def compiling(environment: MutableMapping[str, str], envs: Mapping[str, str], to: Path) -> None:
    """Have a service compile into a directory, unless its bento says where; the builder's own
    directories are for what the builder compiles."""
    for name in VARIABLES:
        if name not in envs:
            environment.pop(name, None)
    environment[WRITES] = str(to)


def _output(root: Path) -> Path:
    return root.with_name(f"{root.name}.json")


def _outcome(output: Path, last_words: str) -> Outcome | None:
    try:
        raw = json.loads(output.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    answers, failure = raw.get("answers"), str(raw.get("error", ""))
    obstacles = tuple(map(str, raw.get("obstacles", ())))
    modules = tuple(map(str, raw.get("modules", ())))
    return Outcome(answers, failure, last_words, obstacles, bool(raw.get("unplaced")), modules)


def prove(trial: Trial, slim: Path, plain: Path, *, at_once: bool = True) -> str | None:
    """Compare what a service answers in two roots.

    Args:
        trial: How to run its examples.
        slim: The root with the slimmed environment.
        plain: The root with the same environment as it was installed.
        at_once: Whether the two run beside each other; a GPU that holds a model may not hold two.

    Returns:
        Why nothing could be compared, if so, as a sentence.

    Raises:
        UserError: The slimmed environment fails, or answers something else.
    """
    with ThreadPoolExecutor(2 if at_once else 1) as pool:
        ours, theirs = pool.map(trial.run, (slim, plain))
    if theirs.answers is None:
        return (
            "That nothing is missed in the slimmed environment could not be proved, because the "
            f"examples fail in the unslimmed one too: {theirs.reason}"
        )
    if ours.answers is None:
        raise UserError(
            f"The service fails in the slimmed environment, but not in the unslimmed one: "
            f"{ours.reason}; build with --slim off and report it."
        )
    different = _different(ours.answers, theirs.answers)
    if different:
        again = trial.run(plain)
        unsteady = _different(again.answers or (), theirs.answers)
        different = [index for index in different if index not in unsteady]
    if different:
        first = ours.answers[different[0]]
        raise UserError(
            f"The example {first['example']} of {first['path']} is answered differently in the "
            "slimmed environment; build with --slim off and report it."
        )
    return None


def equal(first: object, second: object) -> bool:
    """Whether two JSON values are the same, numbers within :data:`TOLERANCE`."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, (int, float)) and isinstance(second, (int, float)):
        if first == second or (first != first and second != second):  # both NaN
            return True
        try:
            return math.isclose(first, second, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        except OverflowError:
            return False
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(equal, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(equal(first[k], second[k]) for k in first)
    return first == second


def _different(ours: Answers, theirs: Answers) -> list[int]:
    """The examples whose answers differ, or that only one side has."""
    both = zip(ours, theirs, strict=False)
    found = [index for index, (a, b) in enumerate(both) if not _same_answer(a, b)]
    return [*found, *range(min(len(ours), len(theirs)), max(len(ours), len(theirs)))]


def _same_answer(ours: Mapping[str, object], theirs: Mapping[str, object]) -> bool:
    if (ours["path"], ours["status"]) != (theirs["path"], theirs["status"]):
        return False
    first, second = (base64.b64decode(str(answer["body"])) for answer in (ours, theirs))
    if first == second:
        return True
    try:
        return equal(json.loads(first), json.loads(second))
    except (ValueError, RecursionError):
        return False
