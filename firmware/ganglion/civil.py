"""Dates of the Gregorian calendar as day numbers and back, in ints: the same on either epoch.

The month starts in March, so that the leap day is a year's last (E. G. Richards, "Calendars",
in the Explanatory Supplement to the Astronomical Almanac, 3rd ed., chapter 15).
"""

try:
    from micropython import const
except ImportError:  # CPython

    def const(value):
        return value


_BEFORE_1970 = const(719469)
_CYCLE = const(146097)  # days in 400 years


def days(year, month, day):
    """Days from 1970-01-01 to this date; `day` may lie outside the month."""
    if month < 3:
        year -= 1
        month += 12
    leap = year // 4 - year // 100 + year // 400
    return 365 * year + leap + (153 * month - 457) // 5 + day - _BEFORE_1970


def date(days):
    """`(year, month, day)` so many days after 1970-01-01."""
    days += _BEFORE_1970 - 1
    year = days // _CYCLE * 400
    days %= _CYCLE
    n = (days - days // 1460 + days // 36524 - days // 146096) // 365
    days -= 365 * n + n // 4 - n // 100
    month = (5 * days + 2) // 153
    day = days - (153 * month + 2) // 5 + 1
    if month > 9:
        return year + n + 1, month - 9, day
    return year + n, month + 3, day


def month_days(year, month):
    """28 to 31."""
    if month == 2:
        return 28 if year % 4 or (year % 100 == 0 and year % 400) else 29
    return 30 if month in (4, 6, 9, 11) else 31


def weekday(days):
    """0 is Sunday, as cron and POSIX TZ count."""
    return (days + 4) % 7
