"""Local time by a POSIX TZ string: IEEE Std 1003.1, 8.3, with the times from -167 to 167 hours
that RFC 8536, 3.3.1 adds.

Ints only. The seconds that are worked with count from a midnight nearby: a number from 2 ** 30 on
is an object in the heap.
"""

try:
    from micropython import const
except ImportError:  # CPython

    def const(value):
        return value


from . import civil

_DAY = const(86400)
# A rule is one int: month * 64 + week * 8 + weekday, or one of these plus a number of days.
_JULIAN = const(1000)  # Jn: from 1, never counts 29 February
_ORDINAL = const(2000)  # n: from 0, counts it

_EXAMPLE = "; write it as CET-1CEST,M3.5.0,M10.5.0/3"


def parse(posix):
    """`(offset,)`, or `(offset, summer offset, start, its time, end, its time)`; ints.

    Offsets are seconds east of UTC, times are seconds of the local day before the change.
    ValueError says what is wrong. Summer time without its two rules is refused: what they would
    be is not defined.
    """
    offset, at = _time(posix, _name(posix, 0), 24)
    if at == len(posix):
        return (-offset,)
    at = _name(posix, at)
    summer = offset - 3600
    if posix[at : at + 1] not in (",", ""):
        summer, at = _time(posix, at, 24)
    start, start_s, at = _rule(posix, at)
    end, end_s, at = _rule(posix, at)
    if at != len(posix):
        raise ValueError("zone: '%s' is too much%s" % (posix[at:], _EXAMPLE))
    return -offset, -summer, start, start_s, end, end_s


def _name(text, at):
    """Where the name at `at` ends."""
    start = at
    if text[at : at + 1] == "<":
        start += 1
        at = text.find(">", start)
        size = at - start
        at += 1
    else:
        while text[at : at + 1].isalpha():
            at += 1
        size = at - start
    if size < 3:
        raise ValueError("zone: '%s' needs a name of 3 letters or <+03>%s" % (text, _EXAMPLE))
    return at


def _number(text, at, low, high):
    start = at
    while text[at : at + 1].isdigit():
        at += 1
    n = int(text[start:at]) if start < at < start + 4 else -1
    if not low <= n <= high:
        example = "" if text[start:] else _EXAMPLE
        raise ValueError(
            "zone: '%s' needs a number %d to %d%s" % (text[start:] or text, low, high, example)
        )
    return n, at


def _time(text, at, hours):
    """Seconds of `[+-]h[h][:mm[:ss]]` and where it ends."""
    sign = -1 if text[at : at + 1] == "-" else 1
    if text[at : at + 1] in ("-", "+"):
        at += 1
    seconds, at = _number(text, at, 0, hours)
    seconds *= 3600
    unit = 60
    while unit and text[at : at + 1] == ":":
        n, at = _number(text, at + 1, 0, 59)
        seconds += n * unit
        unit //= 60
    return sign * seconds, at


def _rule(text, at):
    """A rule, the seconds of its time, and where both end."""
    kind = text[at : at + 2]
    if kind[:1] != ",":
        raise ValueError("zone: when does summer time start and end%s" % _EXAMPLE)
    if kind == ",M":
        rule, at = _number(text, at + 2, 1, 12)
        for low, high in ((1, 5), (0, 6)):
            if text[at : at + 1] != ".":
                raise ValueError("zone: '%s' needs month.week.weekday%s" % (text[at:], _EXAMPLE))
            n, at = _number(text, at + 1, low, high)
            rule = rule * 8 + n
    elif kind == ",J":
        rule, at = _number(text, at + 2, 1, 365)
        rule += _JULIAN
    else:
        rule, at = _number(text, at + 1, 0, 365)
        rule += _ORDINAL
    if text[at : at + 1] != "/":
        return rule, 7200, at
    seconds, at = _time(text, at + 1, 167)
    return rule, seconds, at


def _day(rule, year):
    """Days from 1970 to the day of a rule."""
    if rule < _JULIAN:
        month = rule >> 6
        first = civil.days(year, month, 1)
        n = ((rule & 7) - civil.weekday(first)) % 7 + 7 * ((rule >> 3 & 7) - 1)
        return first + (n if n < civil.month_days(year, month) else n - 7)
    first = civil.days(year, 1, 1)
    if rule >= _ORDINAL:
        return first + rule - _ORDINAL
    rule -= _JULIAN
    return first + rule - (1 if rule < 60 else 29 - civil.month_days(year, 2))


def _last(zone, unix):
    """`(when, offset, summer)`: the last change not after `unix`, in seconds from midnight UTC."""
    today = unix // _DAY
    now = unix % _DAY
    year = civil.date(today)[0] + 1
    while True:
        start = (_day(zone[2], year) - today) * _DAY + zone[3] - zone[0]
        end = (_day(zone[4], year) - today) * _DAY + zone[5] - zone[1]
        if start <= now and not start <= end <= now:
            return start, zone[1], True
        if end <= now:
            return end, zone[0], False
        year -= 1


def offset(zone, unix):
    """Seconds east of UTC at `unix`, and whether that is summer time."""
    return _last(zone, unix)[1:] if len(zone) > 1 else (zone[0], False)


def local(zone, unix):
    """`(year, month, day, hour, minute)` at `unix`."""
    unix += offset(zone, unix)[0]
    minute = unix % _DAY // 60
    return civil.date(unix // _DAY) + (minute // 60, minute % 60)


def unix(zone, year, month, day, hour, minute):
    """Unix seconds of a local minute.

    Of two that are called the same (autumn) the first; for one that does not come (spring) the
    instant the clock jumps over it.
    """
    seconds = civil.days(year, month, day) * _DAY + hour * 3600 + minute * 60
    if len(zone) == 1:
        return seconds - zone[0]
    at = seconds - max(zone[0], zone[1])
    if offset(zone, at)[0] == seconds - at:
        return at
    at = seconds - min(zone[0], zone[1])
    change, east, _ = _last(zone, at)
    return at if east == seconds - at else at - at % _DAY + change
