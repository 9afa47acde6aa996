"""Budgets: who is counted on what, in which hour, day and month, whatever the clocks do."""

import os
import time
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.meter.budget import Budgets
from companion.meter.calendar import Calendar
from companion.meter.purse import Cap, Scope, Window

ZONES = st.sampled_from(sorted(zoneinfo.available_timezones() - {"localtime"}))
# From when on no zone has moved its clocks back over midnight (St. John's did, until 2011).
TIMES = st.integers(1_325_376_000, 2_145_916_800)
WINDOWS: tuple[Window, ...] = ("hour", "day", "month")


def unix(text: str, zone: str, fold: int = 0) -> float:
    local = datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone), fold=fold)
    return local.timestamp()


# -- windows


@settings(max_examples=400, deadline=None)
@given(ZONES, TIMES, st.sampled_from(WINDOWS))
def test_windows_follow_each_other_without_gap_or_overlap(
    zone: str, now: int, kind: Window
) -> None:
    calendar = Calendar(zone)
    span = calendar.window(kind, now + 0.75)
    assert span.begins <= now < span.ends
    assert calendar.window(kind, span.begins) == span == calendar.window(kind, span.ends - 0.001)
    after, before = calendar.window(kind, span.ends), calendar.window(kind, span.begins - 1)
    assert after.begins == span.ends and before.ends == span.begins
    assert before.label < span.label < after.label


@settings(max_examples=400, deadline=None)
@given(ZONES, TIMES)
def test_days_and_months_are_those_on_the_wall(zone: str, now: int) -> None:
    calendar, local = Calendar(zone), datetime.fromtimestamp(now, zoneinfo.ZoneInfo(zone))
    assert calendar.window("day", now).label == local.strftime("%Y-%m-%d")
    assert calendar.window("month", now).label == local.strftime("%Y-%m")


@settings(max_examples=400, deadline=None)
@given(ZONES, TIMES)
def test_an_hour_begins_with_the_wall_clock_or_where_that_was_changed(zone: str, now: int) -> None:
    span, tz = Calendar(zone).window("hour", now), zoneinfo.ZoneInfo(zone)
    for edge in (span.begins, span.ends):
        wall, just_before = (datetime.fromtimestamp(t, tz) for t in (edge, edge - 1))
        moved = wall.utcoffset() != just_before.utcoffset()
        assert (wall.minute, wall.second) == (0, 0) or moved
    assert span.ends - span.begins <= 3600


def changes(zone: str) -> Iterator[int]:
    """The moments, by the hour, around which the clocks of ``zone`` change in 2026."""
    tz = zoneinfo.ZoneInfo(zone)
    for at in range(1_767_225_600, 1_798_761_600, 1800):
        if (
            datetime.fromtimestamp(at, tz).utcoffset()
            != datetime.fromtimestamp(at - 1, tz).utcoffset()
        ):
            yield at


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Berlin",
        "America/New_York",
        "America/Havana",  # at midnight
        "Australia/Lord_Howe",  # by half an hour
        "Asia/Beirut",  # at midnight
        "Africa/Casablanca",  # for Ramadan
        "America/Nuuk",  # before midnight
    ],
)
def test_the_hours_and_days_around_a_change_add_up(zone: str) -> None:
    calendar, tz = Calendar(zone), zoneinfo.ZoneInfo(zone)
    found = list(changes(zone))
    assert len(found) == 2
    for change in found:
        # At midnight it is the day that ends or the one that begins.
        days = {calendar.window("day", t) for t in (change - 1, change)}
        before, after = (datetime.fromtimestamp(t, tz) for t in (change - 1, change))
        gained = after.utcoffset() - before.utcoffset()  # type: ignore[operator]
        lengths = sum(day.ends - day.begins for day in days)
        assert lengths == len(days) * 86_400 - gained.total_seconds()
        for day in days:
            labels, at = [], day.begins
            while at < day.ends:
                hour = calendar.window("hour", at)
                labels.append(hour.label)
                at = hour.ends
            assert at == day.ends and len(set(labels)) == len(labels)


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    budgets = Budgets((Cap("house", "hour", nano=1),), {}, "Europe/Berlin")
    first, second = (unix("2026-10-25 02:30", "Europe/Berlin", fold) for fold in (0, 1))
    (a,), (b,) = budgets.slots("k", first), budgets.slots("k", second)
    assert (a.key, b.key) == ("house/hour/2026-10-25T00:00Z", "house/hour/2026-10-25T01:00Z")
    assert a.ends == second - 1800


def test_a_day_begins_where_the_clocks_leap_over_midnight() -> None:
    budgets = Budgets((Cap("house", "day", nano=1),), {}, "America/Havana")
    # 2026-03-08 00:00 is 01:00 at once.
    at_one = unix("2026-03-08 01:00", "America/Havana")
    assert budgets.slots("k", at_one)[0].key == "house/day/2026-03-08"
    assert budgets.slots("k", at_one - 1)[0].key == "house/day/2026-03-07"
    assert budgets.slots("k", at_one - 1)[0].ends == at_one


def test_a_day_that_never_was_has_no_budget() -> None:
    budgets = Budgets((Cap("house", "day", nano=1),), {}, "Pacific/Apia")
    # Samoa went from 29 December 2011 straight to the 31st.
    last = unix("2011-12-29 23:59:59", "Pacific/Apia")
    assert budgets.slots("k", last)[0].ends == last + 1
    assert budgets.slots("k", last + 1)[0].key == "house/day/2011-12-31"


def test_a_day_that_has_ended_stays_so_when_the_clocks_go_back_over_midnight() -> None:
    budgets = Budgets((Cap("house", "day", nano=1),), {}, "America/St_Johns")
    # 2010-11-07 00:01 became 2010-11-06 23:01.
    ended = unix("2010-11-06 23:59:59", "America/St_Johns") + 1
    assert budgets.slots("k", ended - 1)[0].key == "house/day/2010-11-06"
    for later in (0, 59, 60, 1800, 3600):
        assert budgets.slots("k", ended + later)[0].key == "house/day/2010-11-07"


def test_no_zone_is_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.environ.get("TZ")
    try:
        monkeypatch.setenv("TZ", "Asia/Kathmandu")
        time.tzset()
        own, named = Calendar(""), Calendar("Asia/Kathmandu")
        for kind in WINDOWS:
            assert own.window(kind, 1_795_262_400) == named.window(kind, 1_795_262_400)
        assert own.window("hour", 1_795_262_400).label.endswith(":15Z")
    finally:
        monkeypatch.setenv("TZ", before or "")
        if before is None:
            monkeypatch.delenv("TZ")
        time.tzset()


def test_a_zone_that_is_not_known_is_said() -> None:
    with pytest.raises(ValueError, match="Europe/Berln"):
        Budgets((), {}, "Europe/Berln")


# -- who is counted on what

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
GROUPS = {"upstairs": ("bath", "bed"), "quiet": ("bed",)}
DEVICES = ("bath", "bed", "kitchen")
CAPS = st.lists(
    st.builds(
        Cap,
        st.just("house"),
        st.sampled_from(WINDOWS),
        st.just(""),
        st.none() | st.integers(0, 9),
        st.none() | st.integers(0, 9),
    )
    | st.builds(
        Cap,
        st.just("group"),
        st.sampled_from(WINDOWS),
        st.sampled_from(("", *sorted(GROUPS))),
        st.none() | st.integers(0, 9),
        st.none() | st.integers(0, 9),
    )
    | st.builds(
        Cap,
        st.just("device"),
        st.sampled_from(WINDOWS),
        st.sampled_from(("", *DEVICES)),
        st.none() | st.integers(0, 9),
        st.none() | st.integers(0, 9),
    ),
    max_size=12,
)


def held(cap: Cap, caps: list[Cap], device: str) -> list[str]:
    """By which names ``cap`` holds ``device``."""
    if cap.scope == "house":
        return [""]
    mine = [device] if cap.scope == "device" else [g for g in GROUPS if device in GROUPS[g]]
    own = {c.name for c in caps if (c.scope, c.window) == (cap.scope, cap.window)}
    return [name for name in mine if cap.name == name or (not cap.name and name not in own)]


@settings(max_examples=300, deadline=None)
@given(CAPS, st.sampled_from(DEVICES), st.integers(0, 40 * 86_400))
def test_every_cap_that_holds_a_device_is_in_its_slots(
    caps: list[Cap], device: str, later: int
) -> None:
    budgets = Budgets(tuple(caps), GROUPS, "Europe/Berlin")
    for now in (NOON, NOON + later, NOON):  # from the cache, and from it wrongly, too
        slots = budgets.slots(device, now)
        expected: dict[tuple[Scope, str, Window], list[Cap]] = {}
        for cap in caps:
            for name in held(cap, caps, device):
                expected.setdefault((cap.scope, name, cap.window), []).append(cap)
        found = {
            (scope, name, window): slot
            for scope, name, window, slot in (
                (s.scope, s.name, s.window, s.slot) for s in budgets.every([device], now)
            )
            if slot in slots
        }
        assert found.keys() == expected.keys() and len(slots) == len(expected)
        for which, slot in found.items():
            nano = [c.nano for c in expected[which] if c.nano is not None]
            tokens = [c.tokens for c in expected[which] if c.tokens is not None]
            assert slot.nano == (min(nano) if nano else None)
            assert slot.tokens == (min(tokens) if tokens else None)
            assert now < slot.ends
    assert len({slot.key for slot in slots}) == len(slots)


def test_keys_and_what_a_person_reads() -> None:
    caps = (
        Cap("house", "month", nano=5_000_000_000),
        Cap("group", "day", "upstairs", tokens=10_000),
        Cap("device", "hour", nano=1),
        Cap("device", "day", "bed", nano=2),
    )
    budgets = Budgets(caps, GROUPS, "Europe/Berlin")
    assert [(s.key, s.what) for s in budgets.slots("bed", NOON)] == [
        ("house/month/2026-11", "the house's budget of this month"),
        ("group/upstairs/day/2026-11-21", "today's budget of the group upstairs"),
        ("device/bed/hour/2026-11-21T12:00Z", "this hour's budget of bed"),
        ("device/bed/day/2026-11-21", "today's budget of bed"),
    ]
    assert [s.key for s in budgets.slots("kitchen", NOON)] == [
        "house/month/2026-11",
        "device/kitchen/hour/2026-11-21T12:00Z",
    ]
    assert [(s.scope, s.name, s.window) for s in budgets.every(["kitchen"], NOON)] == [
        ("house", "", "month"),
        ("group", "upstairs", "day"),
        ("device", "bed", "hour"),
        ("device", "bed", "day"),
        ("device", "kitchen", "hour"),
    ]


def test_a_budget_of_a_group_that_is_not_there_is_said() -> None:
    with pytest.raises(ValueError, match="'attic'"):
        Budgets((Cap("group", "day", "attic", nano=1),), GROUPS, "UTC")


def test_without_budgets_nothing_is_counted() -> None:
    assert Budgets((), GROUPS, "UTC").slots("bed", NOON) == ()


def test_a_known_device_costs_a_look_in_a_table() -> None:
    caps = tuple(Cap(scope, w, nano=1) for scope in ("house", "device") for w in WINDOWS)
    budgets = Budgets(caps, {}, "Europe/Berlin")
    slots = budgets.slots("bed", NOON)
    assert budgets.slots("bed", NOON + 1) is slots


def test_devices_without_end_take_no_memory_without_end() -> None:
    budgets = Budgets((Cap("device", "day", nano=1),), {}, "UTC")
    for n in range(10_000):
        budgets.slots(f"d{n}", NOON)
    assert len(budgets._kept) <= 4096
