from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.aws_words import AwsSettings
from bentofn.adapters.batching import Batching
from bentofn.adapters.capabilities import ANY_OTHER, Capabilities, Capability
from bentofn.adapters.changes import changes_between
from bentofn.adapters.fields import FIELDS, NAMES, stated
from bentofn.adapters.load import Load
from bentofn.adapters.plan import Change, Cost, CostPart, Plan, Problem, in_order
from bentofn.adapters.schedule import Schedule
from bentofn.adapters.secret import Secret
from bentofn.adapters.settings import FunctionSettings, FunctionSpec
from bentofn.adapters.url import Cors, Url
from bentofn.runtime.errors import UserError

BEFORE = FunctionSpec(
    "f",
    "b:1",
    FunctionSettings(memory=512, environment={"A": "hunter2", "B": "1"}, gpu="L4"),
)


def test_a_new_function_is_created_with_what_its_file_states() -> None:
    changes = changes_between(None, BEFORE)
    assert [(each.path, each.action) for each in changes] == [
        ("function", "create"),
        ("bento", "create"),
        ("environment.A", "create"),
        ("environment.B", "create"),
        ("memorySize", "create"),
        ("gpu", "create"),
    ]


def test_the_same_spec_changes_nothing() -> None:
    assert changes_between(BEFORE, BEFORE) == ()


def test_what_differs_is_named_and_values_of_variables_are_not_shown() -> None:
    settings = replace(
        BEFORE.settings,
        memory=1024,
        gpu=None,
        environment={"A": "hunter3", "C": "2"},
        secrets={"TOKEN": Secret("env", "TOKEN")},
        aws=AwsSettings(others={"vpc": {"subnetIds": ["s"]}}),
    )
    changes = changes_between(BEFORE, replace(BEFORE, bento="b:2", settings=settings))
    assert changes == (
        Change("bento", "b:1", "b:2"),
        Change("environment.A", "set", "changed"),
        Change("environment.B", "set", None),
        Change("environment.C", None, "set"),
        Change("secrets.TOKEN", None, "set"),
        Change("memorySize", 512, 1024),
        Change("gpu", "L4", None),
        Change("vpc", None, "set"),
    )
    assert "hunter" not in str(changes)


def test_of_what_has_parts_those_are_told_that_say_something() -> None:
    url = Url(cors=Cors(origins=("https://a.example",), max_age=60))
    after = replace(BEFORE, settings=replace(BEFORE.settings, url=url))
    [change] = changes_between(BEFORE, after)
    usual = Cors()
    assert change.after == {
        "origins": ("https://a.example",),
        "headers": usual.headers,
        "methods": usual.methods,
        "max_age": 60,
    }


def test_a_schedule_is_told_by_when_it_comes() -> None:
    def schedules(*found: Schedule) -> FunctionSpec:
        return replace(BEFORE, settings=replace(BEFORE.settings, schedules=found))

    hourly, daily = Schedule("s", "rate(1 hour)"), Schedule("s", "rate(1 day)", "Europe/Berlin")
    told = {
        (None, "rate(1 hour)"): (schedules(), schedules(hourly)),
        ("rate(1 hour)", "rate(1 day) Europe/Berlin"): (schedules(hourly), schedules(daily)),
        ("set", "changed"): (schedules(hourly), schedules(replace(hourly, input="{}"))),
        ("rate(1 hour)", None): (schedules(hourly), schedules()),
    }
    for (was, becomes), (before, after) in told.items():
        assert changes_between(before, after) == (Change("schedules.s", was, becomes),)


def test_a_secret_whose_value_a_target_keeps_the_mark_of_is_told_once() -> None:
    def with_mark(mark: str) -> FunctionSpec:
        found = FunctionSettings(
            environment={"TOKEN": mark}, secrets={"TOKEN": Secret("env", "TOKEN")}
        )
        return FunctionSpec("f", "b:1", found)

    assert [each.path for each in changes_between(None, with_mark("1"))][2:] == ["secrets.TOKEN"]
    changed = (Change("secrets.TOKEN", "set", "changed"),)
    assert changes_between(with_mark("1"), with_mark("2")) == changed


def test_what_a_target_ignores_is_told_as_that_alone() -> None:
    table = Capabilities(
        "moon",
        (
            *(Capability(name, "native") for name in NAMES if name != "description"),
            Capability("description", "ignored"),
            Capability(ANY_OTHER, "ignored"),
        ),
    )
    aws = AwsSettings(others={"vpc": {}})
    settings = replace(BEFORE.settings, memory=1024, description="x", aws=aws)
    after = replace(BEFORE, settings=settings)
    paths = [each.path for each in changes_between(None, after, table)]
    assert {"description", "vpc"} & {*paths} == set()
    assert "memorySize" in paths
    assert changes_between(BEFORE, after, table) == (Change("memorySize", 512, 1024),)
    # Where nothing else differs, it is why there is a new version.
    other = replace(after, settings=replace(settings, description="y"))
    assert changes_between(after, other, table) == (Change("description", "x", "y"),)


SETTINGS = st.builds(
    FunctionSettings,
    memory=st.none() | st.integers(128, 512),
    environment=st.dictionaries(st.sampled_from("AB"), st.sampled_from("xy")),
    events=st.sampled_from([(), ({"sqs": "a"},), ({"sqs": "b"},)]),
    schedules=st.sampled_from(
        [(), (Schedule("s", "rate(1 day)"),), (Schedule("s", "rate(1 day)", input="{}"),)]
    ),
    url=st.none() | st.builds(Url, cors=st.none() | st.builds(Cors)),
    aws=st.builds(AwsSettings, stage=st.sampled_from(["dev", "prod"])),
    batching=st.none() | st.builds(Batching),
)


@given(SETTINGS, SETTINGS)
def test_there_are_changes_just_where_specs_differ(
    before: FunctionSettings, after: FunctionSettings
) -> None:
    changes = changes_between(FunctionSpec("f", "b:1", before), FunctionSpec("f", "b:1", after))
    assert bool(changes) == (before != after)
    assert all(each.before != each.after for each in changes)


def test_a_plan_with_a_refusal_is_not_ok_and_says_all_that_keeps_it() -> None:
    problems = in_order(
        [
            Problem("ignored", "tags", "tags: none."),
            Problem("refused", "gpu", "gpu: none."),
            Problem("violation", "", "It is too large."),
        ]
    )
    plan = Plan("moon", "f", problems=problems)
    assert not plan.ok
    with pytest.raises(UserError, match=r"moon does not take f: It is too large\. gpu: none\.$"):
        plan.check()
    Plan("moon", "f", problems=problems[2:]).check()


def test_a_plan_is_a_document() -> None:
    cost = Cost(Load(1), (CostPart("a", 1.5), CostPart("b", 2.0)))
    plan = Plan("moon", "f", (Change("memorySize", 1, 2),), cost=cost)
    document = json.loads(json.dumps(plan.to_json()))
    assert (document["ok"], document["cost"]["per_month"]) == (True, 3.5)
    assert document["changes"][0]["action"] == "update"


def test_a_table_answers_for_every_field_and_refuses_what_nobody_knows() -> None:
    table = Capabilities(
        "moon",
        (
            Capability("gpu", "refused", "the moon has none"),
            Capability("memorySize", "native"),
            Capability("batching", "emulated", "our batcher"),
            Capability(ANY_OTHER, "ignored", "no clouds there"),
        ),
    )
    settings = FunctionSettings(memory=1, gpu="L4", aws=AwsSettings(others={"vpc": {}, "moon": 1}))
    assert [(each.kind, each.field) for each in table.problems(settings)] == [
        ("refused", "gpu"),
        ("ignored", "vpc"),
        ("refused", "moon"),
    ]
    assert table.of("cpu").support == "refused"


def test_default_settings_state_nothing() -> None:
    assert list(stated(FunctionSettings())) == []
    assert len(set(NAMES)) == len(NAMES)
    assert all(field.meaning for field in FIELDS)
