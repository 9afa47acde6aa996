"""When a house's schedules are due, said a second time: by croniter, zoneinfo and astral.

The firmware has its own cron, time zones and sun; none of that is used here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import astral
import astral.sun
import croniter  # type: ignore[import-untyped]

NEAR_S = 5  # what is due so close to a change of state may go either way
# A run is late by the step in which time is left out, and by what the host is late.
LATE_S = 45
# Where the sun rises is told to the minute, by the firmware and by who checks it.
_SUN_S = 90


@dataclass(frozen=True)
class Job:
    """One schedule; its `tool` and `args` tell its runs from all others."""

    name: str
    when: str
    tool: str
    args: dict[str, Any]
    miss: str = "skip"
    late_min: int = 60

    @property
    def mark(self) -> str:
        return mark(self.tool, self.args)

    @property
    def slack_s(self) -> int:
        """How far two who know when it is due may be apart."""
        return _SUN_S if self.when.startswith("sun") else 0

    @property
    def uptime_s(self) -> int:
        """Seconds between runs that are counted from each boot; 0 where the clock says when."""
        words = self.when.split()
        return int(words[1]) * 60 if words[0] == "every" and "from" not in words else 0


def mark(tool: str, args: dict[str, Any]) -> str:
    """A call as one string, however its arguments are ordered."""
    return json.dumps([tool, args], sort_keys=True)


@dataclass
class Span:
    """A boot: from when it ran, from when it knew the time (None: never), and its end."""

    on: float
    known: float | None
    end: float


def _utc(zone: ZoneInfo, naive: datetime, both: bool) -> Iterator[int]:
    """A local time as Unix seconds: in the hour that comes twice the first (or both), in the one
    that does not come the instant after it (or never)."""
    for fold in (0, 1) if both else (0,):
        local = naive.replace(tzinfo=zone, fold=fold)
        unix = int(local.timestamp())
        if datetime.fromtimestamp(unix, zone).replace(tzinfo=None) == naive:
            yield unix
        elif not both:
            # Left out: the first instant that is there is the one at which the clocks change.
            after = naive
            while True:
                after += timedelta(minutes=1)
                unix = int(after.replace(tzinfo=zone).timestamp())
                if datetime.fromtimestamp(unix, zone).replace(tzinfo=None) == after:
                    yield unix
                    return


def due_times(
    job: Job, zone: ZoneInfo, place: tuple[float, float], start: float, end: float
) -> list[int]:
    """Unix seconds in (start, end) at which a schedule by the clock is due."""
    first = datetime.fromtimestamp(start, zone).date() - timedelta(days=1)
    days = int((end - start) / 86400) + 4
    found: set[int] = set()
    words = job.when.split()
    if words[0] in ("sunrise", "sunset"):
        offset = int("".join(words[1:-1]) or 0) * 60
        observer = astral.Observer(*place)
        for n in range(days):
            day: date = first + timedelta(days=n)
            event = getattr(astral.sun, words[0])(observer, day, tzinfo=UTC)
            found.add(int(event.timestamp()) + offset)
    elif words[0] == "every":
        hours, hour = int(words[1]), int(words[-1][:2])
        for n in range(days):
            noon = datetime.combine(first + timedelta(days=n), datetime.min.time())
            (at,) = _utc(zone, noon.replace(hour=hour), False)
            (stop,) = _utc(zone, noon.replace(hour=hour) + timedelta(days=1), False)
            found |= set(range(at, stop, hours * 3600))
    else:
        naive = datetime.combine(first, datetime.min.time())
        lines = croniter.croniter(job.when, naive)
        stop_at = naive + timedelta(days=days)
        while (local := lines.get_next(datetime)) < stop_at:
            found |= set(_utc(zone, local, words[1] == "*"))
    return sorted(t for t in found if start < t < end)


def expected(
    job: Job, dues: list[int], spans: list[Span], first: float
) -> tuple[list[float], list[float]]:
    """``(runs, told as missed)``: what becomes of each due time. ``first``: since it is set."""
    runs: list[float] = []
    missed: list[float] = []
    handled = first
    for n, span in enumerate(spans):
        if job.uptime_s:
            at = (span.on if n else first) + job.uptime_s
            while at < span.end:
                runs.append(at)
                at += job.uptime_s
            continue
        if span.known is None:
            continue
        known = span.known if n else first
        if n and job.miss != "skip":
            gone = [d for d in dues if handled < d <= known]
            if gone and job.miss == "late" and known - gone[-1] <= job.late_min * 60:
                runs.append(known)
                handled = gone[-1]
            elif gone:
                missed.append(known)
                handled = known
        now = [d for d in dues if known < d <= span.end]
        runs += now
        handled = max([handled, *now])
    return runs, missed


@dataclass
class Compared:
    """Of one job: runs that should be and that were; what neither the one nor the other explains,
    in words; and how many hung on the very moment in which power or clock changed."""

    expected: int
    actual: int
    unexplained: list[str]
    either_way: int


def compare(
    job: Job,
    dues: list[int],
    spans: list[Span],
    first: float,
    runs: list[float],
    missed: list[float],
) -> Compared:
    """What was against what should be."""
    edges = []
    for n, span in enumerate(spans):
        for part, at in (("known", span.known), ("end", span.end)):
            if at is not None and _close(job, dues, span, first, n, at):
                edges.append((n, part))
    best: Compared | None = None
    near = 2 * (NEAR_S + job.slack_s)
    # Where something was due just then, both outcomes are right: but one of them, and once.
    for shifts in itertools.product((0, -near, near), repeat=min(len(edges), 4)):
        moved = [Span(s.on, s.known, s.end) for s in spans]
        for (n, part), shift in zip(edges, shifts, strict=False):
            setattr(moved[n], part, getattr(moved[n], part) + shift)
        want, want_missed = expected(job, dues, moved, first)
        wrong = _unmatched("run", want, runs, job.slack_s)
        wrong += _unmatched("missed", want_missed, missed, job.slack_s)
        found = Compared(len(want), len(runs), wrong, len(edges))
        if best is None or len(wrong) < len(best.unexplained):
            best = found
        if not wrong:
            break
    assert best
    return best


def _close(job: Job, dues: list[int], span: Span, first: float, n: int, at: float) -> bool:
    if job.uptime_s:
        since = at - (span.on if n else first)
        return min(since % job.uptime_s, -since % job.uptime_s) <= NEAR_S
    return any(abs(d - at) <= NEAR_S + job.slack_s for d in dues)


def _unmatched(what: str, want: list[float], got: list[float], slack_s: int) -> list[str]:
    left = sorted(got)
    out = []
    for at in sorted(want):
        near = [g for g in left if at - 2 * NEAR_S - slack_s <= g <= at + LATE_S + slack_s]
        if near:
            left.remove(near[0])
        else:
            out.append(f"{what} due {_iso(at)} is not there")
    return out + [f"{what} at {_iso(g)} was not due" for g in left]


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
