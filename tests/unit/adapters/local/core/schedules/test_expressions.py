from __future__ import annotations

import calendar
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentofn.adapters.local.core.schedules.expressions import parse, read_zone

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")


def times(text: str, zone: ZoneInfo, begin: str, count: int) -> list[str]:
    """The next times from a local one on (itself left out), with their offsets from UTC."""
    expression = parse(text, zone)
    moment = anchor = datetime.fromisoformat(begin).replace(tzinfo=zone).timestamp()
    found = []
    for _ in range(count):
        following = expression.after(moment, anchor)
        if following is None:
            break
        moment = following
        shown = datetime.fromtimestamp(moment, zone)
        found.append(shown.strftime("%m-%d %H:%M %z" if shown.second == 0 else "%m-%d %H:%M:%S %z"))
    return found


# The clocks go: Berlin 2026-03-29 02:00 -> 03:00 and 2026-10-25 03:00 -> 02:00; New York
# 2026-03-08 02:00 -> 03:00 and 2026-11-01 02:00 -> 01:00; Lord Howe, by half an hour only,
# 2026-10-04 02:00 -> 02:30 and 2026-04-05 02:00 -> 01:30.
DAYLIGHT_SAVING = [
    # A time in the gap of spring is left out; the others stay at their local time.
    (BERLIN, "cron(30 2 * * ? *)", "2026-03-27T12:00", ["03-28 02:30 +0100", "03-30 02:30 +0200"]),
    (BERLIN, "cron(0 9 * * ? *)", "2026-03-27T12:00", ["03-28 09:00 +0100", "03-29 09:00 +0200"]),
    (BERLIN, "cron(0 2 * * ? *)", "2026-03-28T12:00", ["03-30 02:00 +0200"]),
    (BERLIN, "cron(0 3 * * ? *)", "2026-03-28T12:00", ["03-29 03:00 +0200"]),
    (BERLIN, "cron(30 * * * ? *)", "2026-03-29T01:00", ["03-29 01:30 +0100", "03-29 03:30 +0200"]),
    (
        NEW_YORK,
        "cron(15,45 2,3 * * ? *)",
        "2026-03-07T12:00",
        ["03-08 03:15 -0400", "03-08 03:45 -0400", "03-09 02:15 -0400"],
    ),
    (
        LORD_HOWE,
        "cron(0/15 2 * * ? *)",
        "2026-10-04T00:00",
        ["10-04 02:30 +1100", "10-04 02:45 +1100", "10-05 02:00 +1100"],
    ),
    # A time that autumn repeats comes once, at its first.
    (
        BERLIN,
        "cron(30 2 * * ? *)",
        "2026-10-24T12:00",
        ["10-25 02:30 +0200", "10-26 02:30 +0100"],
    ),
    (
        BERLIN,
        "cron(0 * * * ? *)",
        "2026-10-25T01:30",
        ["10-25 02:00 +0200", "10-25 03:00 +0100", "10-25 04:00 +0100"],
    ),
    (
        NEW_YORK,
        "cron(30 1 ? * SUN *)",
        "2026-10-31T12:00",
        ["11-01 01:30 -0400", "11-08 01:30 -0500"],
    ),
    (
        LORD_HOWE,
        "cron(0/15 1 * * ? *)",
        "2026-04-05T01:20",
        ["04-05 01:30 +1100", "04-05 01:45 +1100", "04-06 01:00 +1030"],
    ),
    # A rate is time that has passed, so a day's local time moves.
    (BERLIN, "rate(1 day)", "2026-03-28T09:00", ["03-29 10:00 +0200", "03-30 10:00 +0200"]),
    (NEW_YORK, "rate(1 day)", "2026-10-31T09:00", ["11-01 08:00 -0500", "11-02 08:00 -0500"]),
    (LORD_HOWE, "rate(1 day)", "2026-04-04T09:00", ["04-05 08:30 +1030"]),
    (LORD_HOWE, "rate(12 hours)", "2026-10-03T21:00", ["10-04 09:30 +1100", "10-04 21:30 +1100"]),
    # Once.
    (BERLIN, "at(2026-10-25T02:30:00)", "2026-10-24T12:00", ["10-25 02:30 +0200"]),
    (NEW_YORK, "at(2026-03-08T03:00:01)", "2026-03-08T00:00", ["03-08 03:00:01 -0400"]),
    (LORD_HOWE, "at(2026-04-05T02:00:00)", "2026-04-05T02:00", []),
]


@pytest.mark.parametrize(("zone", "text", "begin", "expected"), DAYLIGHT_SAVING)
def test_daylight_saving(zone: ZoneInfo, text: str, begin: str, expected: list[str]) -> None:
    count = max(1, len(expected))
    assert times(text, zone, begin, count) == expected


CALENDAR = [
    ("cron(0 0 L * ? *)", ["01-31", "02-29", "03-31", "04-30"]),
    ("cron(0 0 LW * ? *)", ["01-31", "02-29", "03-29", "04-30"]),
    ("cron(0 0 1W * ? *)", ["01-01", "02-01", "03-01", "04-01", "05-01", "06-03"]),
    ("cron(0 0 15W 6-9 ? *)", ["06-14", "07-15", "08-15", "09-16"]),
    ("cron(0 0 31W * ? *)", ["01-31", "03-29", "05-31"]),
    ("cron(0 0 ? * 6L *)", ["01-26", "02-23", "03-29"]),
    ("cron(0 0 ? * FRIL *)", ["01-26", "02-23", "03-29"]),
    ("cron(0 0 ? * 3#2 *)", ["01-09", "02-13", "03-12"]),
    ("cron(0 0 ? * thu#5 *)", ["02-29", "05-30", "08-29"]),
    ("cron(0 0 ? * L *)", ["01-06", "01-13"]),
    ("cron(0 0 ? * 1 *)", ["01-07", "01-14"]),
    ("cron(0 0 ? * SAT-MON *)", ["01-01", "01-06", "01-07", "01-08"]),
    ("cron(0 0 ? * MON,WED-THU *)", ["01-01", "01-03", "01-04", "01-08"]),
    ("cron(0 0 29 2 ? *)", ["02-29", "02-29"]),
    ("cron(0 0 1 NOV-feb ? *)", ["01-01", "02-01", "11-01", "12-01"]),
    ("cron(0 0 1/10 JAN ? 2024)", ["01-01", "01-11", "01-21", "01-31"]),
    ("cron(0 0 1 1 ? 2030/20)", ["01-01", "01-01"]),
    ("cron(0 0 1 1 ? 2023)", []),
]


@pytest.mark.parametrize(("text", "expected"), CALENDAR)
def test_days(text: str, expected: list[str]) -> None:
    found = times(text, ZoneInfo("UTC"), "2023-12-31T12:00", max(1, len(expected)))
    assert [each.split()[0] for each in found] == expected


def test_a_minute_field_counts_from_its_first() -> None:
    found = times("cron(1/10 22-1 * * ? *)", ZoneInfo("UTC"), "2024-01-01T22:40", 4)
    assert [each.split()[1] for each in found] == ["22:41", "22:51", "23:01", "23:11"]


WRONG = [
    ("rate(5 minute)", r"write rate\(5 minutes\)"),
    ("rate(1 hours)", r"write rate\(1 hour\)"),
    ("rate(0 minutes)", "the fastest is"),
    ("rate(90 seconds)", "is no rate"),
    ("rate(-1 hours)", "is no rate"),
    ("every day", "is no schedule"),
    ("0 9 * * *", "is no schedule"),
    ("cron(0 9 * * *)", "has 5 fields, and must have 6: minutes hours day-of-month"),
    ("cron(0 9 * * * *)", "neither is"),
    ("cron(0 9 ? * ? *)", "both are"),
    ("cron(60 9 * * ? *)", "'60' in the minutes field is not 0-59"),
    ("cron(0 24 * * ? *)", "'24' in the hours field"),
    ("cron(0 9 0 * ? *)", "'0' in the day-of-month field is not 1-31"),
    ("cron(0 9 ? * 0 *)", "'0' in the day-of-week field is not 1-7 or SUN-SAT"),
    ("cron(0 9 ? * 8 *)", "'8' in the day-of-week field"),
    ("cron(0 9 ? * 2/2 *)", "'2/2' in the day-of-week field is not understood"),
    ("cron(0 9 ? * 3#1,6#3 *)", "must stand alone"),
    ("cron(0 9 ? * 3#6 *)", "day-of-week field"),
    ("cron(0 9 1,L * ? *)", "'L', which must stand alone"),
    ("cron(0 9 1,15W * ? *)", "'15W', which must stand alone"),
    ("cron(0 9 32W * ? *)", "'32' in the day-of-month field"),
    ("cron(0 9 * FOO ? *)", "'FOO' in the month field is not 1-12 or JAN-DEC"),
    ("cron(0 9 * * ? 1969)", "'1969' in the year field is not 1970-2199"),
    ("cron(0 9 * * ? 2030-2020)", "ends before it begins"),
    ("cron(*/0 9 * * ? *)", "a step that is not 1-59"),
    ("cron(*-5 9 * * ? *)", "a range from"),
    ("cron(1,,2 9 * * ? *)", "'' in the minutes field is not understood"),
    ("cron(0 9 30 2 ? *)", "names days that no month has"),
    ("at(2026-02-30T00:00:00)", "is no time"),
    ("at(2026-02-20 00:00:00)", "is no time"),
    ("at(2026-02-20T00:00:00Z)", "is no time"),
    ("at(0001-01-01T00:00:00)", "is no time"),
    ("at(2026-03-29T02:30:00)", "daylight saving leaves it out"),
]


@pytest.mark.parametrize(("text", "problem"), WRONG)
def test_what_is_wrong_is_said_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse(text, BERLIN)


def test_an_unknown_zone() -> None:
    for name in ("Mars/Olympus", "", "../etc/passwd", "europe"):
        with pytest.raises(ValueError, match="no time zone"):
            read_zone(name)


@given(st.text(alphabet="cron(rate) 0123456789*?/,-#LWMONSUN", max_size=30))
def test_any_text_is_an_expression_or_wrong(text: str) -> None:
    for wrapped in (text, f"cron({text})", f"rate({text})", f"at({text})"):
        try:
            parse(wrapped, BERLIN)
        except ValueError as error:
            assert wrapped in str(error).replace("\\\\", "\\") or repr(wrapped) in str(error)  # noqa: PT017


def numbers(least: int, most: int) -> st.SearchStrategy[tuple[str, set[int]]]:
    """A field as text, with what it stands for."""
    number = st.integers(least, most)

    def span(ends: tuple[int, int]) -> tuple[str, set[int]]:
        low, high = sorted(ends)
        return f"{low}-{high}", set(range(low, high + 1))

    def steps(given: tuple[int, int]) -> tuple[str, set[int]]:
        first, step = given
        return f"{first}/{step}", {
            n for n in range(least, most + 1) if (n - first) % step == 0 <= n - first
        }

    def join(items: list[tuple[str, set[int]]]) -> tuple[str, set[int]]:
        return ",".join(text for text, _ in items), set().union(*(each for _, each in items))

    item = st.one_of(
        number.map(lambda n: (str(n), {n})),
        st.tuples(number, number).map(span),
        st.tuples(number, st.integers(1, most)).map(steps),
    )
    return st.one_of(
        st.just(("*", set(range(least, most + 1)))),
        st.lists(item, min_size=1, max_size=3).map(join),
    )


ZONES = st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, ZoneInfo("Asia/Kathmandu"), ZoneInfo("UTC")])
# Around the changes of the three zones, and anywhere else in the year.
MOMENTS = st.one_of(
    st.sampled_from(
        ["2026-03-27", "2026-10-23", "2026-03-06", "2026-10-30", "2026-10-02", "2026-04-03"]
    ),
    st.dates(datetime(2026, 1, 1).date(), datetime(2027, 12, 31).date()).map(str),
).map(lambda day: datetime.fromisoformat(day).replace(tzinfo=timezone.utc))


@settings(max_examples=150, deadline=None)
@given(
    ZONES,
    MOMENTS,
    st.integers(0, 1439),
    numbers(0, 59),
    numbers(0, 23),
    numbers(1, 31),
    numbers(1, 12),
)
def test_a_cron_comes_when_a_scan_of_every_minute_finds_it(
    zone: ZoneInfo,
    day: datetime,
    offset: int,
    minute: tuple[str, set[int]],
    hour: tuple[str, set[int]],
    of_month: tuple[str, set[int]],
    month: tuple[str, set[int]],
) -> None:
    begin = day + timedelta(minutes=offset)
    try:
        cron = parse(f"cron({minute[0]} {hour[0]} {of_month[0]} {month[0]} ? *)", zone)
    except ValueError as error:
        assert "no month has" in str(error)  # noqa: PT017
        return
    end = begin + timedelta(days=4)
    expected = []
    now = begin + timedelta(minutes=1)
    while now <= end:
        local = now.astimezone(zone)
        fits = local.month in month[1] and local.day in of_month[1]
        if fits and local.hour in hour[1] and local.minute in minute[1] and not local.fold:
            expected.append(now.timestamp())
        now += timedelta(minutes=1)
    found: list[float] = []
    moment = begin.timestamp()
    while (following := cron.after(moment, 0.0)) is not None and following <= end.timestamp():
        found.append(following)
        moment = following
    assert found == expected


@given(st.integers(2000, 2100), st.integers(1, 12), st.integers(1, 7), st.integers(1, 5))
def test_the_nth_weekday_is_the_calendars(year: int, month: int, weekday: int, nth: int) -> None:
    cron = parse(f"cron(0 0 ? {month} {weekday}#{nth} *)")
    of_python = (weekday + 5) % 7
    weeks = [week[of_python] for week in calendar.Calendar().monthdayscalendar(year, month)]
    days = [day for day in weeks if day]
    found = cron.after(datetime(year, 1, 1, tzinfo=timezone.utc).timestamp() - 1, 0.0)
    assert found is not None
    if nth > len(days):
        assert found >= datetime(year + 1, 1, 1, tzinfo=timezone.utc).timestamp()
    else:
        assert found == datetime(year, month, days[nth - 1], tzinfo=timezone.utc).timestamp()


@given(st.integers(1, 1000), st.floats(0.0, 2e9), st.floats(0.0, 1e8))
def test_a_rate_comes_at_the_next_multiple(minutes: int, anchor: float, passed: float) -> None:
    rate = parse(f"rate({minutes} minute{'s' if minutes > 1 else ''})")
    following = rate.after(anchor + passed, anchor)
    assert following is not None
    assert anchor + passed < following <= anchor + passed + minutes * 60 + 1e-3
    assert rate.after(anchor - 1.0, anchor) == anchor


def test_times_are_in_order_over_a_whole_year() -> None:
    for zone in (BERLIN, NEW_YORK, LORD_HOWE):
        cron = parse("cron(0/30 * * * ? 2026)", zone)
        moment, found = datetime(2025, 12, 31, tzinfo=timezone.utc).timestamp(), []
        while (following := cron.after(moment, 0.0)) is not None:
            found.append(following)
            moment = following
        # Every half hour of the year, but for the one hour or half hour that is repeated.
        assert len(found) == 365 * 48 - (1 if zone is LORD_HOWE else 2)
        assert all(a < b for a, b in pairwise(found))
