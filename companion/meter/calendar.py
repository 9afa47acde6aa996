"""Hours, days and months of a house, as intervals of Unix time.

Everything is worked out from one function, the zone's offset at an instant, so that a named zone
and the machine's own are treated alike. The windows of a kind follow each other without gap or
overlap, whatever the clocks do: a day on which they change has 23 or 25 hours, and the hour that
comes twice is two hours.
"""

import calendar
import time
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final, TypeAlias

from companion.meter.purse import Window

Offset: TypeAlias = Callable[[int], int]
"""Unix seconds → seconds that local time is ahead of UTC."""

_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
# A local midnight is within 14 hours of UTC's; past it on either side the offset is that of
# before or after whatever changed that night.
_AROUND_S: Final = 26 * _HOUR_S


@dataclass(frozen=True, slots=True)
class Span:
    """``begins <= t < ends``, Unix seconds. ``label`` is unique among windows of its kind and
    sorts as time does: ``2026-11``, ``2026-11-21``, ``2026-11-21T14:00Z``."""

    begins: int
    ends: int
    label: str


@dataclass(slots=True)
class Calendar:
    """The windows of ``timezone``, an IANA name, or "" for the machine's own. Raises ValueError
    for a name that is not known."""

    timezone: str
    offset: Offset = field(init=False)
    _last: dict[Window, Span] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.offset = _offset(self.timezone)

    def window(self, kind: Window, now: float) -> Span:
        """The window of this kind that ``now`` (Unix seconds) is in."""
        last = self._last.get(kind)
        if last is None or not last.begins <= now < last.ends:
            at = int(now // 1)
            last = self._hour(at) if kind == "hour" else self._days(kind, at)
            self._last[kind] = last
        return last

    def clock(self, now: float) -> str:
        """What a clock shows at ``now``, to the minute: ``2026-11-21T13:05+01:00``."""
        at = int(now // 1)
        zone = timezone(timedelta(seconds=self.offset(at)))
        return datetime.fromtimestamp(at, zone).isoformat(timespec="minutes")

    def day_of(self, now: float) -> date:
        """The local day of ``now``."""
        at = int(now // 1)
        day = (datetime.fromtimestamp(at, UTC) + timedelta(seconds=self.offset(at))).date()
        # Clocks that went back over midnight show the old day again; it has ended all the same.
        while at >= self.midnight(day + timedelta(days=1)):
            day += timedelta(days=1)
        return day

    def midnight(self, day: date) -> int:
        """Unix seconds at which ``day`` begins: the first moment whose local date is not before
        it, which is no 00:00 where the clocks leap over that."""
        local = calendar.timegm(day.timetuple())
        before, after = self.offset(local - _AROUND_S), self.offset(local + _AROUND_S)
        if before == after:
            return local - before
        changed = self._change(local - _AROUND_S, local + _AROUND_S)
        reached = local - before
        return reached if reached < changed else max(changed, local - after)

    def offsets(self, begins: float, ends: float) -> tuple[tuple[int, int], ...]:
        """``(from, seconds ahead of UTC)`` in order, for all that holds between ``begins`` and
        ``ends``; the first holds from before ``begins``."""
        at, last = int(begins // 1), int(ends // 1)
        found = [(at, self.offset(at))]
        while at < last:
            following = min(at + _DAY_S, last)
            if self.offset(following) != found[-1][1]:
                change = self._change(at, following)
                found.append((change, self.offset(change)))
            at = following
        return tuple(found)

    def _days(self, kind: Window, at: int) -> Span:
        day = self.day_of(at)
        if kind == "day":
            following = day + timedelta(days=1)
            return Span(self.midnight(day), self.midnight(following), day.isoformat())
        first = day.replace(day=1)
        following = (first + timedelta(days=31)).replace(day=1)
        return Span(self.midnight(first), self.midnight(following), f"{first:%Y-%m}")

    def _hour(self, at: int) -> Span:
        offset = self.offset(at)
        begins = at - (at + offset) % _HOUR_S
        ends = begins + _HOUR_S
        # Where the clocks change within a full hour (they do on Lord Howe, by 30 minutes), what
        # is left of it is an hour of its own.
        if self.offset(begins) != offset:
            begins = self._change(begins, at)
        if self.offset(ends - 1) != offset:
            ends = self._change(at, ends - 1)
        # By UTC: in autumn two hours have the same local name.
        return Span(begins, ends, datetime.fromtimestamp(begins, UTC).strftime("%Y-%m-%dT%H:%MZ"))

    def _change(self, low: int, high: int) -> int:
        """The first second in ``(low, high]`` with another offset than at ``low``; there is
        one."""
        old = self.offset(low)
        while high - low > 1:
            middle = (low + high) // 2
            if self.offset(middle) == old:
                low = middle
            else:
                high = middle
        return high


def _offset(timezone: str) -> Offset:
    if not timezone:
        return lambda at: time.localtime(at).tm_gmtoff
    try:
        zone = zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no time zone {timezone!r}; a name is as Europe/Berlin or UTC") from None

    def offset(at: int) -> int:
        ahead = datetime.fromtimestamp(at, zone).utcoffset()
        return 0 if ahead is None else ahead.days * _DAY_S + ahead.seconds

    return offset
