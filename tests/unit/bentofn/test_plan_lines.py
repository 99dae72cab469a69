"""How a plan is printed."""

from __future__ import annotations

from bentofn.adapters.load import Load
from bentofn.adapters.plan import Change, Cost, CostPart, Plan, Problem, Upload
from bentofn.commands.plan import lines


def test_a_plan_says_what_is_done_sent_refused_and_paid() -> None:
    plan = Plan(
        "moon",
        "hello",
        changes=(
            Change("function", None, "hello"),
            Change("memorySize", 512, 1024),
            Change("environment.TOKEN", "set", "changed"),
            Change("gpu", "L4", None),
            Change("gpu list", None, ["A10", "T4"]),
            Change("timeout", None, 10.0),
            Change("url.cors", None, {"origins": ("*",), "credentials": False}),
            Change("url", None, {"AuthType": "AWS_IAM", "Cors": {}}),
        ),
        uploads=(Upload("code", 1500, False), Upload("environment", 2_000_000, True)),
        problems=(Problem("refused", "gpu", "gpu: the moon has none."),),
        cost=Cost(Load(1, 0.5), (CostPart("requests", 1.25), CostPart("memory", 2.0)), note="free"),
    )
    assert list(lines(plan)) == [
        "hello on moon: changes",
        "  + function: hello",
        "  ~ memorySize: 512 -> 1024",
        "  ~ environment.TOKEN: set -> changed",
        "  - gpu: was L4",
        "  + gpu list: A10, T4",
        "  + timeout: 10",
        "  + url.cors: origins=*, credentials=no",
        "  + url: AuthType=AWS_IAM, Cors=none",
        "  > code, 1.5 kB",
        "  > environment, 2.0 MB, there already",
        "  refused: gpu: the moon has none.",
        "  3.25 USD a month for 86,400 requests a day of 0.5 s each, free",
        "    requests: 1.2500",
        "    memory: 2.0000",
        "  Target moon does not take it.",
    ]


def test_a_plan_without_changes_says_so() -> None:
    assert list(lines(Plan("moon", "hello"))) == ["hello on moon: nothing changes"]


def test_a_plan_that_ends_with_a_refusal_does_not_say_that_nothing_changes() -> None:
    refused = Plan("moon", "hello", problems=(Problem("refused", "gpu", "gpu: none."),))
    assert next(lines(refused)) == "hello on moon: refused"
