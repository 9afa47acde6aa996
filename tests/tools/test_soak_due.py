"""The judge of the soak: it must see what is missing, what came twice and what nobody wanted."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tools.bench.schedule import late_ms
from tools.bench.soak_due import Job, Span, compare, due_times

BERLIN = ZoneInfo("Europe/Berlin")
PLACE = (52.5, 13.4)
HOUR = 3600


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def job(when: str, miss: str = "skip") -> Job:
    return Job("it", when, "gpio_write", {"pin": 5, "value": 1}, miss)


@pytest.mark.parametrize(
    ("when", "begin", "want"),
    [
        # 02:30 comes twice on the 25th, and runs in the first pass; each hour's run in both.
        ("30 2 * * *", "2026-10-24T12:00", ["2026-10-25T00:30"]),
        ("5 * * * *", "2026-10-24T23:50", ["2026-10-25T00:05", "2026-10-25T01:05"]),
        # In spring it is left out: as the hour is skipped. What runs each hour has no such run.
        ("30 2 * * *", "2027-03-27T12:00", ["2027-03-28T01:00"]),
        ("30 * * * *", "2027-03-28T00:00", ["2027-03-28T00:30", "2027-03-28T01:30"]),
        ("every 6 h from 06:00", "2026-10-24T23:00", ["2026-10-25T04:00", "2026-10-25T05:00"]),
    ],
)
def test_due_times_where_the_clocks_change(when: str, begin: str, want: list[str]) -> None:
    found = due_times(job(when), BERLIN, PLACE, at(begin), at(begin) + 24 * HOUR)
    assert found[: len(want)] == [at(t) for t in want]


def test_what_does_not_match_is_told() -> None:
    start = at("2026-10-20T00:00")
    dues = [start + n * HOUR for n in range(1, 6)]
    spans = [Span(start, start, start + 6 * HOUR)]

    def wrong(runs: list[float], missed: list[float] | None = None) -> int:
        return len(compare(job("x"), dues, spans, start, runs, missed or []).unexplained)

    runs = [d + 1.5 for d in dues]
    assert wrong(runs) == 0
    assert wrong(runs[1:]) == 1
    assert wrong([*runs, runs[2] + 1]) == 1
    assert wrong([*runs[:4], runs[4] + 600]) == 2
    assert wrong(runs, [dues[0]]) == 1


def test_what_a_missed_run_comes_to() -> None:
    start = at("2026-10-20T00:00")
    due = start + HOUR
    spans = [Span(start, start, due - 600), Span(due + 100, due + 120, due + 9 * HOUR)]

    def right(miss: str, runs: list[float], missed: list[float]) -> bool:
        return not compare(job("x", miss), [due], spans, start, runs, missed).unexplained

    assert right("skip", [], []) and not right("skip", [due + 120], [])
    assert right("late", [due + 120], []) and not right("late", [], [])
    assert right("expire", [], [due + 120]) and not right("expire", [due + 120], [])
    # Just as the power goes, either is right, but not both.
    spans[0].end = due + 1
    assert right("late", [due], []) and right("late", [due + 120], [])
    assert not right("late", [due, due + 120], [])


def test_lateness_is_counted_from_the_due_second() -> None:
    second = 10**9
    assert late_ms([7 * second + 3_000_000, 8 * second + 1_000_000], 1, False) == [3, 1]
    assert late_ms([7_900_000_000, 8_895_000_000, 9_910_000_000], 1, True) == [5, 0, 15]
