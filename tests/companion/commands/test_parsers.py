"""Numbers, durations, clock times, weekdays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.backends.commands import (
    ClockTime,
    parse_clock,
    parse_duration,
    parse_number,
    parse_weekdays,
)
from companion.backends.commands.times import find_when
from companion.backends.commands.words import words

_ONES = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = words("twenty thirty forty fifty sixty seventy eighty ninety")


def spell(n: int, hyphen: str = "-", joiner: str = " and ") -> str:
    """``n`` in words: an oracle written the other way round."""
    if n < 20:
        return _ONES[n]
    if n < 100:
        unit = n % 10
        return _TENS[n // 10 - 2] + (hyphen + _ONES[unit] if unit else "")
    if n < 1000:
        rest = n % 100
        return f"{_ONES[n // 100]} hundred" + (joiner + spell(rest, hyphen) if rest else "")
    rest = n % 1000
    link = joiner if rest < 100 else " "
    return (
        spell(n // 1000, hyphen, joiner)
        + " thousand"
        + (link + spell(rest, hyphen, joiner) if rest else "")
    )


@given(st.integers(0, 99_999), st.sampled_from("- "), st.sampled_from([" ", " and "]))
def test_numbers_in_words(n: int, hyphen: str, joiner: str) -> None:
    assert parse_number(spell(n, hyphen, joiner)) == n


@given(st.integers(0, 999_999))
def test_numbers_in_digits(n: int) -> None:
    assert parse_number(str(n)) == n
    assert parse_number(f"{n:,}") == n


@pytest.mark.parametrize(
    ("text", "value"),
    (
        ("fifty-two", 52),
        ("a hundred", 100),
        ("a hundred and one", 101),
        ("two thousand five hundred and twelve", 2512),
        ("Fifty Two", 52),
        ("five six", None),
        ("twenty eleven", None),
        ("hundred", None),
        ("1.5", None),
        ("-5", None),
        ("", None),
        ("five hundred hundred", None),
        ("\uff15", 5),
        ("5\u00b2", None),
    ),
)
def test_number(text: str, value: int | None) -> None:
    assert parse_number(text) == value


S, M, H, D = 1000, 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("text", "ms"),
    (
        ("20 seconds", 20 * S),
        ("twenty seconds", 20 * S),
        ("20s", 20 * S),
        ("1h 30m", 90 * M),
        ("1h30m", 90 * M),
        ("1 hour 30 minutes", 90 * M),
        ("1 hour and 30 minutes", 90 * M),
        ("1 hour, 30 minutes and 5 seconds", 90 * M + 5 * S),
        ("half an hour", 30 * M),
        ("half a minute", 30 * S),
        ("a half hour", None),
        ("an hour", H),
        ("a minute", M),
        ("an hour and a half", 90 * M),
        ("one and a half hours", 90 * M),
        ("two and a half minutes", 150 * S),
        ("1.5 hours", 90 * M),
        ("a quarter of an hour", 15 * M),
        ("a couple of minutes", 2 * M),
        ("250 ms", 250),
        ("500 milliseconds", 500),
        ("2 days", 2 * D),
        ("a week", 7 * D),
        ("5-minute", 5 * M),
        ("five", None),
        ("minutes", None),
        ("5 minutes 2 hours", None),
        ("a few minutes", None),
        ("", None),
    ),
)
def test_duration(text: str, ms: int | None) -> None:
    assert parse_duration(text) == ms


@given(st.integers(1, 23), st.integers(1, 59), st.integers(1, 59))
def test_durations_add_up(h: int, m: int, s: int) -> None:
    wanted = h * H + m * M + s * S
    assert parse_duration(f"{h}h {m}m {s}s") == wanted
    assert parse_duration(f"{spell(h)} hours, {spell(m)} minutes and {spell(s)} seconds") == wanted


@pytest.mark.parametrize(
    ("text", "minute", "ambiguous"),
    (
        ("7:30pm", 19 * 60 + 30, False),
        ("7:30 pm", 19 * 60 + 30, False),
        ("7.30pm", 19 * 60 + 30, False),
        ("7 p.m.", 19 * 60, False),
        ("7pm", 19 * 60, False),
        ("7 am", 7 * 60, False),
        ("12am", 0, False),
        ("12pm", 720, False),
        ("12:30 am", 30, False),
        ("19:30", 19 * 60 + 30, False),
        ("07:30", 7 * 60 + 30, False),
        ("00:05", 5, False),
        ("7:30", 7 * 60 + 30, True),
        ("noon", 720, False),
        ("midday", 720, False),
        ("midnight", 0, False),
        ("quarter past seven", 7 * 60 + 15, True),
        ("a quarter to eight", 7 * 60 + 45, True),
        ("quarter to one", 45, True),
        ("half past six", 6 * 60 + 30, True),
        ("half seven", 7 * 60 + 30, True),
        ("ten to eight", 7 * 60 + 50, True),
        ("twenty-five past 9", 9 * 60 + 25, True),
        ("five minutes past nine", 9 * 60 + 5, True),
        ("quarter past seven in the evening", 19 * 60 + 15, False),
        ("seven thirty pm", 19 * 60 + 30, False),
        ("7 o'clock", 7 * 60, True),
        ("seven o'clock in the morning", 7 * 60, False),
        ("eight at night", 20 * 60, False),
    ),
)
def test_clock(text: str, minute: int, ambiguous: bool) -> None:
    assert parse_clock(text) == ClockTime(minute, ambiguous)


@pytest.mark.parametrize("text", ("25:00", "7:60", "13pm", "0 am", "seven", "half past", "7:3", ""))
def test_no_clock(text: str) -> None:
    assert parse_clock(text) is None


@given(st.integers(0, 23), st.integers(0, 59))
def test_clock_in_digits(hour: int, minute: int) -> None:
    found = parse_clock(f"{hour:02}:{minute:02}")
    assert found is not None and found.minute % 720 == (hour % 12) * 60 + minute
    half = "am" if hour < 12 else "pm"
    assert parse_clock(f"{hour % 12 or 12}:{minute:02}{half}") == ClockTime(hour * 60 + minute)


@pytest.mark.parametrize(
    ("text", "days"),
    (
        ("weekdays", {0, 1, 2, 3, 4}),
        ("every weekday", {0, 1, 2, 3, 4}),
        ("weekends", {5, 6}),
        ("on weekends", {5, 6}),
        ("every day", set(range(7))),
        ("daily", set(range(7))),
        ("every tuesday", {1}),
        ("Tuesdays", {1}),
        ("on monday", {0}),
        ("mon, wed and fri", {0, 2, 4}),
        ("monday to friday", {0, 1, 2, 3, 4}),
        ("Fri to Mon", {4, 5, 6, 0}),
        ("every mon", {0}),
        ("saturday through sunday", {5, 6}),
        ("sun", None),
        ("every other day", None),
        ("every", None),
        ("someday", None),
        ("", None),
    ),
)
def test_weekdays(text: str, days: set[int] | None) -> None:
    assert parse_weekdays(text) == (None if days is None else frozenset(days))


@pytest.mark.parametrize(
    ("text", "found"),
    (
        ("turn on the light in 10 minutes", "in 10 minutes"),
        ("turn on the light at 7", "at 7"),
        ("turn on the light at quarter past seven please", "at quarter past seven"),
        ("every morning turn on the light", "every morning"),
        ("turn it on every tuesday", "every tuesday"),
        ("wait 5 seconds", "wait 5 seconds"),
        ("turn on pin 5", None),
        ("set pin 5 to 2", None),
    ),
)
def test_find_when(text: str, found: str | None) -> None:
    said = text.split()
    span = find_when(said)
    assert (None if span is None else " ".join(said[slice(*span)])) == found
