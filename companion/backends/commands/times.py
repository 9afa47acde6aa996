"""Durations, clock times and weekdays in English.

Like ``numbers``, on lists of normalised words: a parser takes a position and returns a value and
the position after it, or None. Today they find the part of a sentence that no tool of a device
can honour; tools that wait or plan take their arguments from the same parsers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from companion.backends.commands.numbers import NUMBER_WORDS, integer_at, number_at
from companion.backends.commands.tokens import tokenize
from companion.backends.commands.words import wordset

_UNIT_MS: dict[str, int] = {}
for _ms, _names in (
    (1, "ms msec msecs millisecond milliseconds millis"),
    (1_000, "s sec secs second seconds"),
    (60_000, "m min mins minute minutes"),
    (3_600_000, "h hr hrs hour hours"),
    (86_400_000, "d day days"),
    (604_800_000, "w wk wks week weeks"),
):
    for _name in _names.split():
        _UNIT_MS[_name] = _ms

_DAYS: dict[str, int] = {}
for _index, _names in enumerate(
    (
        "monday mondays mon",
        "tuesday tuesdays tue tues",
        "wednesday wednesdays wed weds",
        "thursday thursdays thu thur thurs",
        "friday fridays fri",
        "saturday saturdays sat",
        "sunday sundays sun",
    )
):
    for _name in _names.split():
        _DAYS[_name] = _index

WEEKDAYS = frozenset(range(5))
WEEKEND = frozenset((5, 6))
EVERY_DAY = frozenset(range(7))
_SETS = {
    "weekday": WEEKDAYS,
    "weekdays": WEEKDAYS,
    "workday": WEEKDAYS,
    "workdays": WEEKDAYS,
    "weekend": WEEKEND,
    "weekends": WEEKEND,
    "daily": EVERY_DAY,
    "everyday": EVERY_DAY,
}
# Ambiguous as words of their own ("sun lamp", "wed"): days only beside another day or "every".
_SHORT = frozenset(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))


@dataclass(frozen=True, slots=True)
class ClockTime:
    """``minute`` of the day, 0..1439. ``ambiguous``: a twelve-hour time without am or pm; then
    ``minute`` is the one before noon."""

    minute: int
    ambiguous: bool = False


def unit_ms(word: str) -> int:
    """Milliseconds of a unit of time, 0 for any other word."""
    return _UNIT_MS.get(word, 0)


def duration_at(words: Sequence[str], i: int) -> tuple[int, int] | None:
    """Milliseconds: "20 seconds", "1 h 30 m", "half an hour", "an hour and a half", "two and a
    half minutes", "a quarter of an hour", "a couple of minutes", "5 minutes and 30 seconds".
    Units must descend."""
    total, j, last = 0, i, 0
    while True:
        part = _part_at(words, j)
        if part is None or (last and part[1] >= last):
            break
        ms, unit, j_next = part
        total, j, last = total + ms, j_next, unit
        if words[j : j + 3] == ["and", "a", "half"]:
            return total + unit // 2, j + 3
        k = j
        while _word(words, k) in (",", "and"):
            k += 1
        follow = _part_at(words, k)
        if follow is None or follow[1] >= last:
            break
        j = k
    return (total, j) if last else None


def _part_at(words: Sequence[str], i: int) -> tuple[int, int, int] | None:
    """One number with its unit: (ms, ms of the unit, next)."""
    word = _word(words, i)
    if word in ("half", "quarter") or (word == "a" and _word(words, i + 1) in ("half", "quarter")):
        at = i + 1 if word == "a" else i
        share = 2 if words[at] == "half" else 4
        at += 1
        if _word(words, at) == "of":
            at += 1
        if _word(words, at) in ("a", "an"):
            unit = _UNIT_MS.get(_word(words, at + 1))
            if unit is not None and unit > 1:
                return unit // share, unit, at + 2
        return None
    if word == "a" and _word(words, i + 1) == "couple":
        at = i + 3 if _word(words, i + 2) == "of" else i + 2
        unit = _UNIT_MS.get(_word(words, at))
        return (2 * unit, unit, at + 1) if unit is not None else None
    if word in ("a", "an"):
        unit = _UNIT_MS.get(_word(words, i + 1))
        if unit is not None and len(words[i + 1]) > 1:
            return unit, unit, i + 2
    number = number_at(words, i)
    if number is None:
        return None
    value, j = number
    unit = _UNIT_MS.get(_word(words, j))
    return (round(value * unit), unit, j + 1) if unit is not None else None


def clock_at(words: Sequence[str], i: int, bare: bool = False) -> tuple[ClockTime, int] | None:
    """ "7:30 pm", "7.30pm", "19:30", "noon", "quarter past seven", "ten to eight", "half seven"
    (British: 7:30), "seven thirty pm", "7 o'clock in the evening". A number alone is a time only
    with ``bare`` (after "at")."""
    word = _word(words, i)
    if word in ("noon", "midday"):
        return ClockTime(720), i + 1
    if word == "midnight":
        return ClockTime(0), i + 1
    found = _spoken_at(words, i)
    sure = found is not None
    if found is None:
        hour_24 = _digits_at(words, i)
        if hour_24 is not None:
            found, sure = hour_24, True
        else:
            number = integer_at(words, i)
            if number is None:
                return None
            hour, j = number
            minute = integer_at(words, j)
            if minute is not None and 10 <= minute[0] < 60 and _half_at(words, minute[1]):
                found = hour, minute[0], minute[1]
            else:
                found = hour, 0, j
    hour, minutes, j = found
    if _word(words, j) == "o'clock":
        sure, j = True, j + 1
    half = _half_at(words, j)
    if half is not None:
        offset, j = half
        if not 1 <= hour <= 12:
            return None
        return ClockTime(hour % 12 * 60 + minutes + offset), j
    if not (sure or bare) or not 0 <= hour <= 23 or not 0 <= minutes <= 59:
        return None
    # "19:30" and "07:30" say which half of the day they mean.
    exact = hour > 12 or hour == 0 or (_word(words, i)[:1] == "0" and ":" in words[i])
    return ClockTime((hour if exact else hour % 12) * 60 + minutes, not exact), j


def _digits_at(words: Sequence[str], i: int) -> tuple[int, int, int] | None:
    """ "7:30", and "7.30" when am, pm or "o'clock" follows."""
    hour, mark, minute = _word(words, i).partition(":")
    if not mark:
        hour, mark, minute = _word(words, i).partition(".")
        if not mark or _half_at(words, i + 1) is None:
            return None
    if not (hour.isdigit() and minute.isdigit() and len(minute) == 2 and len(hour) <= 2):
        return None
    return int(hour), int(minute), i + 1


def _spoken_at(words: Sequence[str], i: int) -> tuple[int, int, int] | None:
    """ "quarter past seven", "ten minutes to eight", "half past six", "half seven"."""
    j = i + 1 if _word(words, i) == "a" and _word(words, i + 1) == "quarter" else i
    word = _word(words, j)
    if word == "half":
        past = 1 if _word(words, j + 1) == "past" else 0
        hour = integer_at(words, j + 1 + past)
        return (hour[0], 30, hour[1]) if hour is not None and 1 <= hour[0] <= 12 else None
    if word == "quarter":
        minutes, j = 15, j + 1
    else:
        number = integer_at(words, j)
        if number is None or not 1 <= number[0] <= 59:
            return None
        minutes, j = number
        if _word(words, j) in ("minutes", "minute", "mins"):
            j += 1
    side = _word(words, j)
    if side not in ("past", "after", "to", "till", "before"):
        return None
    hour = integer_at(words, j + 1)
    if hour is None or not 1 <= hour[0] <= 12:
        return None
    if side in ("past", "after"):
        return hour[0], minutes, hour[1]
    return (hour[0] - 1 or 12), 60 - minutes, hour[1]


def _half_at(words: Sequence[str], i: int) -> tuple[int, int] | None:
    """Minutes to add for "am", "p.m.", "in the evening", and the position after it."""
    word = _word(words, i)
    if word in ("am", "pm"):
        return (0 if word == "am" else 720), i + 1
    if word in ("a", "p") and _word(words, i + 1) == "." and _word(words, i + 2) == "m":
        end = i + 4 if _word(words, i + 3) == "." else i + 3
        return (0 if word == "a" else 720), end
    part = _word(words, i + 2)
    if word == "in" and _word(words, i + 1) == "the":
        if part == "morning":
            return 0, i + 3
        if part in ("afternoon", "evening"):
            return 720, i + 3
    if word == "at" and _word(words, i + 1) == "night":
        return 720, i + 2
    return None


def weekdays_at(words: Sequence[str], i: int) -> tuple[frozenset[int], int] | None:
    """Monday is 0: "weekdays", "every tuesday", "every day", "mon, wed and fri", "monday to
    friday". "every other day" is none of them."""
    every = _word(words, i) in ("every", "each", "on")
    j = i + 1 if every else i
    if every and _word(words, j) == "day":
        return EVERY_DAY, j + 1
    if _word(words, j) in _SETS:
        return _SETS[words[j]], j + 1
    days: set[int] = set()
    first = j
    while _word(words, j) in _DAYS:
        day = _DAYS[words[j]]
        j += 1
        if _word(words, j) in ("to", "through", "till", "-") and _word(words, j + 1) in _DAYS:
            last = _DAYS[words[j + 1]]
            days.update((day + k) % 7 for k in range((last - day) % 7 + 1))
            j += 2
        else:
            days.add(day)
        k = j
        while _word(words, k) in (",", "and", "&"):
            k += 1
        if k > j and _word(words, k) in _DAYS:
            j = k
        else:
            break
    if not days or (j == first + 1 and not every and words[first] in _SHORT):
        return None
    return frozenset(days), j


# What makes an action depend on something that no tool here watches.
CONDITIONS = frozenset(
    [
        "if",
        "when",
        "whenever",
        "while",
        "until",
        "till",
        "unless",
        "after",
        "before",
        "once",
        "because",
        "as",
        "without",
        "whilst",
    ]
)
# Single words that put an action at another time.
LATER = frozenset(
    [
        "tonight",
        "tomorrow",
        "later",
        "soon",
        "morning",
        "mornings",
        "afternoon",
        "evening",
        "evenings",
        "night",
        "nights",
        "sunset",
        "sunrise",
        "dawn",
        "dusk",
        "noon",
        "midday",
        "midnight",
        "hourly",
        "nightly",
        "weekly",
        "daily",
        "always",
        "forever",
        "wait",
        "pause",
        "schedule",
        "timer",
        "alarm",
        "remind",
        "dark",
        "yesterday",
        "o'clock",
        "am",
        "pm",
    ]
)
_LEADS = wordset("in for every each at by from on wait after until till")
# No part of a sentence that is about time or a condition begins with another word.
_BEGINNINGS = (
    _LEADS
    | CONDITIONS
    | LATER
    | NUMBER_WORDS
    | frozenset(_DAYS)
    | frozenset(_SETS)
    | wordset("a an half quarter noon midday midnight")
)


def find_when(words: Sequence[str]) -> tuple[int, int] | None:
    """The first part of a sentence that is about time or a condition: ``(start, end)``."""
    for i, word in enumerate(words):
        if word not in _BEGINNINGS and not word[:1].isdigit():
            continue
        lead = word in _LEADS
        at = i + 1 if lead else i
        clock = clock_at(words, at, bare=word in ("at", "by", "until", "till"))
        if clock is not None and not lead and _word(words, i + 1) == "to":
            clock = None  # "set pin 5 to 2"
        for end in (duration_at(words, at), clock, weekdays_at(words, i)):
            if end is not None:
                return i, end[1]
        if word in CONDITIONS:
            return i, len(words)
        if word in LATER:
            return i, i + 1
        if lead and _word(words, at) in LATER:
            return i, at + 1
    return None


def parse_duration(text: str) -> int | None:
    """The whole of ``text`` as a duration in milliseconds, or None."""
    words = [t.norm for t in tokenize(text)]
    found = duration_at(words, 0)
    return found[0] if found is not None and found[1] == len(words) else None


def parse_clock(text: str) -> ClockTime | None:
    """The whole of ``text`` as a time of day, or None."""
    words = [t.norm for t in tokenize(text)]
    found = clock_at(words, 0)
    return found[0] if found is not None and found[1] == len(words) else None


def parse_weekdays(text: str) -> frozenset[int] | None:
    """The whole of ``text`` as days of the week, Monday 0, or None."""
    words = [t.norm for t in tokenize(text)]
    found = weekdays_at(words, 0)
    return found[0] if found is not None and found[1] == len(words) else None


def _word(words: Sequence[str], i: int) -> str:
    return words[i] if 0 <= i < len(words) else ""
