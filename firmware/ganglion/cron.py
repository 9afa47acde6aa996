"""Cron lines: five fields of text to bit masks, and the next minute that matches.

The fields and the rule of the two days are those of crontab(5) (Vixie cron, POSIX crontab):
minute, hour, day of month, month, day of week. Beyond it, as many crons have it, `5/10` counts
on from 5 to the field's end and a range may run over the end: `22-4`, `fri-mon`.
"""

from . import civil

_FIELDS = (
    ("minute", 0, 59, ""),
    ("hour", 0, 23, ""),
    ("day of month", 1, 31, ""),
    ("month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"),
    ("day of week", 0, 7, "sunmontuewedthufrisat"),
)


def parse(text):
    """Bit masks `(minutes, hours, days, months, weekdays, either)` of a line.

    Bit n stands for n, Sunday is bit 0. `either` is 1 when neither field of days starts with
    `*`, so that one of the two is enough. ValueError says the field and what is allowed there.
    """
    parts = text.lower().split()
    if len(parts) != 5:
        raise ValueError("%d fields; cron has 5: minute hour day month weekday" % len(parts))
    masks = [_field(part, *_FIELDS[n]) for n, part in enumerate(parts)]
    either = 0 if "*" in (parts[2][0], parts[4][0]) else 1
    months = masks[3]
    month = 1
    # A leap year: every day that ever comes is in it.
    while (
        not either and _first(masks[2], 1, months >> month & 1 and civil.month_days(0, month)) < 1
    ):
        month += 1
        if month > 12:
            raise ValueError("day of month: %s does not come in month %s" % (parts[2], parts[3]))
    masks.append(either)
    return tuple(masks)


def _field(text, field, low, high, names):
    size = 7 if high == 7 else high - low + 1  # Sunday is 0 and 7
    mask = 0
    for part in text.split(","):
        span, slash, step = part.partition("/")
        step = _value(step, 1, size, "") if slash else 1
        if span == "*":
            first = low
            last = low + size - 1
        else:
            first, dash, last = span.partition("-")
            first = _value(first, low, high, names)
            if dash:
                last = _value(last, low, high, names)
            else:
                last = low + size - 1 if slash else first
        if min(step, first, last) < 0:
            raise ValueError(
                "%s: '%s' is not allowed; %d to %d%s, *, lists as 1,2, ranges as 1-5, steps as */2"
                % (field, part, low, high, names and " or %s to %s" % (names[:3], names[-3:]))
            )
        if last < first:
            last += size
        for n in range(first, last + 1, step):
            mask |= 1 << (n - low) % size + low
    return mask


def _value(text, low, high, names):
    """The number or name, -1 for what is not allowed."""
    at = names.find(text)
    if len(text) == 3 and at >= 0 and at % 3 == 0:
        return low + at // 3
    if not text.isdigit() or not low <= int(text) <= high:
        return -1
    return int(text)


def _first(mask, at, end):
    """The first bit of `mask` that is set, from `at` to `end`; -1 when there is none."""
    while at <= end:
        if mask >> at & 1:
            return at
        at += 1
    return -1


def after(masks, local):
    """The next local minute that matches, later than `local`; both `(y, mo, d, h, mi)`.

    None when there is none until the end of the eighth year from `local`.
    """
    minutes, hours, days, months, weekdays, either = masks
    year, month, day, hour, minute = local
    hour0 = _first(hours, 0, 23)
    minute0 = _first(minutes, 0, 59)
    minute = _first(minutes, minute + 1, 59) if hours >> hour & 1 else -1
    if minute < 0:
        minute = minute0
        hour = _first(hours, hour + 1, 23)
        if hour < 0:
            hour = hour0
            day += 1
    end = year + 8
    while year <= end:
        if months >> month & 1:
            weekday = civil.weekday(civil.days(year, month, day))
            last = civil.month_days(year, month)
            while day <= last:
                fits = days >> day & 1
                if weekdays >> weekday & 1:
                    fits += 1
                if fits + either > 1:
                    return year, month, day, hour, minute
                hour = hour0
                minute = minute0
                day += 1
                weekday = (weekday + 1) % 7
        hour = hour0
        minute = minute0
        day = 1
        month += 1
        if month > 12:
            month = 1
            year += 1
    return None
