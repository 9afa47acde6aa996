"""Phrases of time in a sentence → the `when` of a schedule, the length of a pulse.

As in ``times``: positions in lists of normalised words. A ``Timing`` collects the parts of one
phrase ("every day", "at 7 pm", "for 5 minutes") and says what they mean together, or raises
Declined when that could be two things or a schedule cannot say it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from companion.backends.base import Declined
from companion.backends.commands.numbers import NUMBER_WORDS
from companion.backends.commands.times import (
    EVERY_DAY,
    WEEKDAYS,
    ClockTime,
    clock_at,
    duration_at,
    unit_ms,
    weekdays_at,
)
from companion.backends.commands.words import wordset

_DAY_MIN = 1440
_DIGITS = re.compile(r"\d\d:\d\d")
_LONGEST_S = 604_800
"""The longest "in" and "every" of a schedule: 7 days."""
_SUN_MIN = 720
_HOUR_MS = 3_600_000

_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SUN = {"sunrise": "sunrise", "sunset": "sunset"}
# {part of the day: first and last minute + 1}
_PARTS = {
    "morning": (60, 720),
    "afternoon": (720, 1140),
    "evening": (960, _DAY_MIN),
    "night": (1080, _DAY_MIN),
}
_PLURALS = wordset(
    "mondays tuesdays wednesdays thursdays fridays saturdays sundays weekdays workdays weekends"
)
_AGAIN = wordset("every each")
_DAILY = wordset("daily everyday")

STARTS = (
    wordset("for in at every each on daily everyday a an half quarter") | _PLURALS | NUMBER_WORDS
)
"""Words, besides digits, with which a phrase begins."""


class When(NamedTuple):
    """``text`` as schedule_set takes it. ``once``: to be run once where ``text`` would go on.
    ``label``: for the schedule's name."""

    text: str
    once: bool
    label: str


class _Clock(NamedTuple):
    """``sure``: said as a time of day, not as a number alone. ``said``: its words."""

    time: ClockTime
    sure: bool
    said: tuple[str, ...]


@dataclass(slots=True)
class Timing:
    """What a phrase of time has said so far; each kind at most once."""

    for_ms: int | None = None
    in_ms: int | None = None
    every: tuple[int, _Clock | None] | None = None
    clock: _Clock | None = None
    sun: tuple[str, int] | None = None
    days: frozenset[int] | None = None
    part: str = ""

    def copy(self) -> "Timing":
        return Timing(
            self.for_ms, self.in_ms, self.every, self.clock, self.sun, self.days, self.part
        )

    def plans(self) -> bool:
        """Whether it is about anything but how long."""
        return (self.in_ms, self.every, self.clock, self.sun, self.days) != (None,) * 5

    def when(self) -> When:
        """Raises Declined for what a schedule cannot say or what could be two times."""
        kinds = sum(k is not None for k in (self.in_ms, self.every, self.sun, self.clock))
        if kinds > 1:
            raise Declined("these times do not go together: say one of them")
        if self.in_ms is not None:
            self._no_days()
            return When(f"in {span(self.in_ms)}", False, "")
        if self.every is not None:
            self._no_days()
            ms, base = self.every
            since = f" from {_hhmm(_minute(base, ''))}" if base is not None else ""
            return When(f"every {span(ms)}{since}", False, f"every {span(ms)}{since}")
        if self.sun is not None:
            return self._by_the_sun(*self.sun)
        if self.clock is None:
            raise Declined("say at what time: 'every day at 07:00', 'every monday at 7 pm'")
        minute = _minute(self.clock, self.part)
        if self.days is None:
            return When(f"at {_hhmm(minute)}", False, _hhmm(minute))
        days = _cron_days(self.days)
        label = "daily" if days == "*" else days.replace(",", " ")
        text = f"{minute % 60} {minute // 60} * * {days}"
        return When(text, False, f"{label} {_hhmm(minute)}")

    def _no_days(self) -> None:
        if self.days is not None:
            raise Declined("days and a span of time do not go together: say one of them")

    def _by_the_sun(self, which: str, minutes: int) -> When:
        text = which + (f" {minutes:+d} min" if minutes else "")
        if self.days is None:
            return When(text, True, text)
        fits = {"sunrise": ("", "morning"), "sunset": ("", "evening")}[which]
        if self.days != EVERY_DAY or self.part not in fits:
            raise Declined(f"a schedule by the {which} runs every day: say 'every day at {which}'")
        return When(text, False, f"daily {text}")


def span(ms: int) -> str:
    """As a schedule takes it: "90 s", "10 min", "2 h". Raises Declined."""
    seconds, rest = divmod(ms, 1000)
    if rest or not 1 <= seconds <= _LONGEST_S:
        raise Declined("a schedule takes whole seconds, up to 7 days")
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def timing_at(words: Sequence[str], i: int, base: Timing | None = None) -> tuple[Timing, int]:
    """The phrase at ``i``, added to ``base``, and where it ends: ``i`` when there is none."""
    timing = Timing() if base is None else base.copy()
    j = i
    while True:
        k = j
        while j > i and k < len(words) and words[k] == ",":
            k += 1
        end = _part_at(words, k, timing)
        if end == k:
            return timing, j
        j = end


def length_at(words: Sequence[str], i: int) -> tuple[int, int] | None:
    """As ``duration_at``, without what people say for "soon" and "some"."""
    found = duration_at(words, i)
    if found is None or "couple" in words[i : found[1]]:
        return None
    return found


def _part_at(words: Sequence[str], i: int, t: Timing) -> int:
    """Where the part at ``i`` ends, when it is one that ``t`` lacks; else ``i``."""
    word = _word(words, i)
    if word == "for":
        length = length_at(words, i + 1)
        if length is None or t.for_ms is not None:
            return i
        t.for_ms = length[0]
        return length[1]
    if word == "in":
        # "In a minute" is soon, not 60 seconds.
        length = None if _is_soon(words, i + 1) else length_at(words, i + 1)
        if length is None or t.in_ms is not None:
            return i
        t.in_ms = length[0]
        return length[1]
    if word == "at":
        return _at(words, i, t)
    if word in _AGAIN or word in _DAILY or word in _PLURALS or word == "on":
        return _again(words, i, t)
    return _shifted(words, i, t)


def _is_soon(words: Sequence[str], i: int) -> bool:
    found = duration_at(words, i)
    return (
        found is not None and words[i] in ("a", "an") and found[1] == i + 2 and found[0] < _HOUR_MS
    )


def _at(words: Sequence[str], i: int, t: Timing) -> int:
    if _word(words, i + 1) in _SUN:
        if t.sun is not None:
            return i
        t.sun = (_SUN[words[i + 1]], 0)
        return i + 2
    found = clock_at(words, i + 1, bare=True)
    if found is None or t.clock is not None:
        return i
    t.clock = _said(words, i + 1, found)
    return found[1]


def _said(words: Sequence[str], i: int, found: tuple[ClockTime, int]) -> _Clock:
    return _Clock(found[0], clock_at(words, i) is not None, tuple(words[i : found[1]]))


def _shifted(words: Sequence[str], i: int, t: Timing) -> int:
    """ "10 minutes from now", "half an hour before sunset"."""
    word = _word(words, i)
    if word not in STARTS and not word[:1].isdigit():
        return i
    length = length_at(words, i)
    if length is None:
        return i
    ms, j = length
    if list(words[j : j + 2]) == ["from", "now"] and t.in_ms is None and not _is_soon(words, i):
        t.in_ms = ms
        return j + 2
    if _word(words, j) in ("before", "after") and _word(words, j + 1) in _SUN and t.sun is None:
        minutes, rest = divmod(ms, 60_000)
        if rest or minutes > _SUN_MIN:
            raise Declined(
                "before or after the sun a schedule takes whole minutes, 12 hours at most"
            )
        t.sun = (_SUN[words[j + 1]], -minutes if words[j] == "before" else minutes)
        return j + 2
    return i


def _again(words: Sequence[str], i: int, t: Timing) -> int:
    """ "every day", "on weekdays", "every monday morning", "every 10 minutes", "every hour"."""
    word = words[i]
    if word in _AGAIN:
        following = _word(words, i + 1)
        # "Every second day" is every other one.
        ms = unit_ms(following) if len(following) > 2 and following not in ("second", "sec") else 0
        length = (ms, i + 2) if 60_000 <= ms <= _HOUR_MS else None
        if list(words[i + 1 : i + 3]) == ["half", "hour"]:
            length = (_HOUR_MS // 2, i + 3)
        length = length or length_at(words, i + 1)
        if length is not None:
            return _each(words, i, length, t)
    if t.days is not None:
        return i
    if word in _AGAIN and _word(words, i + 1) in _PARTS:
        t.days, t.part = EVERY_DAY, words[i + 1]
        return i + 2
    found = weekdays_at(words, i)
    if found is None:
        return i
    days, j = found
    part = _word(words, j)
    mornings = part[-1:] == "s" and part[:-1] in _PARTS
    # "On monday" is one monday.
    again = word in _AGAIN or word in _DAILY or mornings or _all_plural(words[i:j])
    if not again:
        return i
    if mornings or part in _PARTS:
        t.part, j = part.removesuffix("s"), j + 1
    t.days = days
    return j


def _each(words: Sequence[str], i: int, length: tuple[int, int], t: Timing) -> int:
    ms, j = length
    if t.every is not None or any(unit_ms(w) > _HOUR_MS for w in words[i:j]):
        return i  # "every 2 days" leaves the time of day open
    base = None
    if _word(words, j) == "from":
        found = clock_at(words, j + 1)
        if found is None:
            return i
        base, j = _said(words, j + 1, found), found[1]
    t.every = (ms, base)
    return j


def _all_plural(said: Sequence[str]) -> bool:
    return all(w in _PLURALS for w in said if w not in ("on", ",", "and", "&"))


def _minute(clock: _Clock, part: str) -> int:
    """The minute of the day. Raises Declined when it could be two."""
    time, said = clock.time, clock.said
    spoken = " ".join(said).replace(" . ", ".")
    if said[0] == "half" and _word(said, 1) != "past":
        raise Declined(f"'{spoken}' is half past to some and half to others: say it in digits")
    if time.minute % 720 == 0 and said[-1] in ("am", "pm", "m", "."):
        raise Declined(f"'{spoken}' could be noon or midnight: say which, or 00:00 or 12:00")
    own = next((w for w in said if w in _PARTS), "")
    minute = time.minute
    if time.ambiguous and not part and _DIGITS.fullmatch(spoken):
        # Two digits before the colon are the 24-hour clock, as the device writes it.
        minute = int(spoken[:2]) * 60 + int(spoken[3:])
    elif time.ambiguous:
        choices = [minute, minute + 720]
        fits = [m for m in choices if part and _within(m, part)]
        if len(fits) != 1 or (part == "night" and fits[0] < _PARTS[part][0]):
            early, late = (_hhmm(m) for m in choices)
            raise Declined(f"'at {spoken}' could be {early} or {late}: say which")
        return fits[0]
    if not clock.sure and not part:
        raise Declined(f"'at {spoken}' may be no time: say '{_hhmm(minute)}'")
    if (own and not _PARTS[own][0] <= minute < _PARTS[own][1]) or (
        part and not _within(minute, part)
    ):
        raise Declined(f"'{spoken}' is no time of the {own or part}: say it as 07:00 or 19:00")
    return minute


def _within(minute: int, part: str) -> bool:
    first, end = _PARTS[part]
    # A night goes on after midnight.
    return first <= minute < end or (part == "night" and minute < 360)


def _hhmm(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _cron_days(days: frozenset[int]) -> str:
    if days == EVERY_DAY:
        return "*"
    if days == WEEKDAYS:
        return "mon-fri"
    return ",".join(_NAMES[d] for d in sorted(days))


def _word(words: Sequence[str], i: int) -> str:
    return words[i] if 0 <= i < len(words) else ""
