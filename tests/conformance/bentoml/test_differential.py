"""The same requests to stock BentoML and to bentofn: what differs is accepted, with its reason."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from accepted import Accepted, read
from differential import Call, Seen, differences, names
from flows import Flow, seen_by

HERE = Path(__file__).parent
CASES = sorted(path.stem for path in (HERE / "cases").glob("*.py"))
ACCEPTED = read(HERE / "accepted.toml")


def calls_of(case: str) -> Sequence[Call | Flow]:
    path = HERE / "calls" / f"{case}.py"
    spec = importlib.util.spec_from_file_location(f"calls_{case}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: list[Call | Flow] = module.CALLS
    names(found)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_answers_differ_only_where_it_is_accepted(
    case: str, stock: Mapping[str, int], ours: int
) -> None:
    unexplained, stale = [], []
    for call in calls_of(case):
        theirs, own = seen_by(stock[case], call), seen_by(ours, call)
        found = differences(theirs, own)
        accepted = ACCEPTED.fields(f"{case}: {call.name}")
        if set(found) - accepted:
            unexplained.append(_explain(call, theirs, own, set(found) - accepted))
        if accepted - set(found):
            stale.append(f"{call.name}: {', '.join(sorted(accepted - set(found)))}")
    assert not unexplained, "\n".join(["unexplained differences:", *unexplained])
    assert not stale, "\n".join(["accepted, but there is no difference:", *stale])


def test_what_is_accepted_is_asked() -> None:
    asked = {f"{case}: {call.name}" for case in CASES for call in calls_of(case)}
    assert ACCEPTED.calls() <= asked


def test_what_is_accepted_is_shown() -> None:
    unshown = [each.case for each in ACCEPTED.differences if not each.calls and not each.tests]
    assert not unshown, "\n".join(["name a call, or a test, which shows:", *unshown])
    assert not [test for each in ACCEPTED.differences for test in each.gone()]


def _explain(call: Call | Flow, stock: Seen, ours: Seen, fields: set[str]) -> str:
    shown = [
        f"    {name}\n      bentoml {stock.parts().get(name)!r}\n      bentofn "
        f"{ours.parts().get(name)!r}"
        for name in sorted(fields)
    ]
    return "\n".join([f"  {call.name}", *shown])


def test_the_page_says_what_is_accepted() -> None:
    page = HERE.parents[2] / "docs" / "bentoml-compatibility.md"
    assert Accepted.inserted(page.read_text(), ACCEPTED.tables()) == page.read_text(), (
        "run: python tests/servers/accepted.py"
    )
