"""When a rule of `when.py` is due next. Times are Unix seconds."""

from micropython import const

from . import lazy, tz

_DAY_S = const(86400)
_EVERY_HOUR = const(0xFFFFFF)
_HOUR_AND_MORE_S = const(3660)
_SUN_DAYS = const(370)  # beyond the polar circles the sun may not rise for months


def following(rule, zone, place, after):
    """The first time after `after` at which the rule is due; None when there is none.

    Not for `every` without an anchor, which knows no clock.
    """
    kind = rule[0]
    if kind == "once":
        return rule[1] if rule[1] > after else None
    if kind == "cron":
        return _following_cron(rule[1], zone, after)
    if kind == "sun":
        return _following_sun(rule, zone, place, after)
    base = _anchor(zone, after, rule[2])
    due = base + ((after - base) // rule[1] + 1) * rule[1]
    return min(due, _anchor(zone, base + _DAY_S + 43200, rule[2]))


def _anchor(zone, unix, minute):
    """The latest `minute` of a local day that is not after `unix`."""
    for back in (0, 1):
        y, mo, d = tz.local(zone, unix - back * _DAY_S)[:3]
        at = tz.unix(zone, y, mo, d, minute // 60, minute % 60)
        if at <= unix:
            return at
    return at


def _following_cron(text, zone, after):
    try:
        cron = lazy.load("cron")
        masks = cron.parse(text)
        each_hour = masks[1] == _EVERY_HOUR
        local = tz.local(zone, after)[:5]
        again = False
        while True:
            local = cron.after(masks, local)
            if local is None:
                return None
            due = tz.unix(zone, *local)
            if due <= after:
                again = True  # that was the first pass of an hour that comes twice
            elif not each_hour or masks[0] >> tz.local(zone, due)[4] & 1:
                break  # else it fell into the hour that is left out in spring
    finally:
        lazy.drop("cron", "civil")
    if each_hour and (again or tz.offset(zone, after)[0] != tz.offset(zone, due)[0]):
        # What runs each hour runs in both passes; a line that names its hours in the first only.
        at = after // 60 * 60 + 60
        while at < due and at <= after + _HOUR_AND_MORE_S:
            if masks[0] >> tz.local(zone, at)[4] & 1:
                return at
            at += 60
    return due


def _following_sun(rule, zone, place, after):
    if place is None:
        return None
    try:
        sun = lazy.load("sun")
        # The local noon of each day, so that the day is the one people mean.
        y, mo, d = tz.local(zone, after - _DAY_S)[:3]
        noon = tz.unix(zone, y, mo, d, 12, 0)
        for _ in range(_SUN_DAYS):
            y, mo, d = tz.local(zone, noon)[:3]
            at = sun.times(y, mo, d, place[0], place[1])[0 if rule[1] == "rise" else 1]
            if at is not None and at + rule[2] * 60 > after:
                return at + rule[2] * 60
            noon += _DAY_S
        return None
    finally:
        lazy.drop("sun", "civil")


def settings(store):
    """`(zone, place)`: a parsed POSIX TZ, and (latitude, longitude) or None."""
    place = store.get("c:place")
    return tz.parse(store.get("c:tz", "UTC0")), place and tuple(place)
