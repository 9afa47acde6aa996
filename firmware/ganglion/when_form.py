"""What a schedule's `when` says: text → a rule, of which when.py tells the next time.

    0 7 * * mon-fri          five-field cron, local time
    every 30 s | 5 min | 2 h monotonic, needs no clock
    every 2 h from 06:00     by the clock, counted anew each day from then
    in 10 min                once
    at 07:30 | at 2026-12-24 18:00
    sunrise | sunset -30 min of the place that is set

Apart from when.py, and with tz.py only where a zone is wanted: all of them together are more than
a heap has left in which rules and schedules already are.
"""

from micropython import const

from . import lazy

_DAY_S = const(86400)
_LONGEST_EVERY_S = const(604800)
_UNITS = (("s", "sec", "second", 1), ("min", "m", "minute", 60), ("h", "hour", "hours", 3600))


def parse(text, store, now):
    """The rule of `text`. `now` is None while the time is not known. Raises ValueError."""
    words = text.lower().split()
    if not words:
        raise ValueError("when is empty")
    first = words[0]
    if first == "every":
        return _every(words[1:])
    if first == "in":
        return ["once", _known(now) + _seconds(words[1:], "in")]
    if first == "at":
        return ["once", _at(words[1:], store, _known(now))]
    if first[:6] in ("sunris", "sunset"):
        return _sun(text.lower().strip())
    if len(words) != 5:
        raise ValueError(
            "'%s' is no time: say at 07:30, in 10 min, every 5 min, sunset -30 min, or the 5 fields"
            " of cron, as 0 7 * * mon-fri" % text
        )
    try:
        lazy.load("cron").parse(text)
    finally:
        lazy.drop("cron", "civil")
    return ["cron", " ".join(words)]


def _known(now):
    if now is None:
        raise ValueError("I do not know the time yet")
    return now


def _seconds(words, what):
    """`30 s`, `5min`, `2 hours` in seconds."""
    text = "".join(words)
    n = 0
    while n < len(text) and text[n].isdigit():
        n += 1
    unit = text[n:]
    for names in _UNITS:
        if n and (unit in names[:3] or unit.rstrip("s") in names[:3]):
            seconds = int(text[:n]) * names[3]
            if 1 <= seconds <= _LONGEST_EVERY_S:
                return seconds
            raise ValueError("%s takes 1 s to 7 days" % what)
    raise ValueError("'%s %s': say a number and s, min or h" % (what, " ".join(words)))


def _clock(text):
    """`07:30` as a minute of the day."""
    h, colon, m = text.partition(":")
    if colon and h.isdigit() and m.isdigit() and len(m) == 2 and int(h) < 24 and int(m) < 60:
        return int(h) * 60 + int(m)
    raise ValueError("'%s' is no time of day, as 07:30" % text)


def _every(words):
    if "from" in words:
        at = words.index("from")
        return ["every", _seconds(words[:at], "every"), _clock(" ".join(words[at + 1 :]))]
    return ["every", _seconds(words, "every"), None]


def _at(words, store, now):
    tz = lazy.load("tz")
    try:
        return _unix(words, tz, tz.parse(store.get("c:tz", "UTC0")), now)
    finally:
        lazy.drop("tz", "civil")


def _unix(words, tz, zone, now):
    if len(words) == 1:
        minute = _clock(words[0])
        y, mo, d = tz.local(zone, now)[:3]
        unix = tz.unix(zone, y, mo, d, minute // 60, minute % 60)
        if unix <= now:
            y, mo, d = tz.local(zone, now + _DAY_S)[:3]
            unix = tz.unix(zone, y, mo, d, minute // 60, minute % 60)
        return unix
    try:
        y, mo, d = [int(part) for part in words[0].split("-")]
    except ValueError:
        raise ValueError("'%s' is no date, as 2026-12-24" % words[0]) from None
    minute = _clock(" ".join(words[1:]))
    if not (2026 <= y < 2100 and 1 <= mo <= 12 and 1 <= d <= 31):
        raise ValueError("'%s' is no date, as 2026-12-24" % words[0])
    unix = tz.unix(zone, y, mo, d, minute // 60, minute % 60)
    if unix <= now:
        raise ValueError("that is past")
    return unix


def _sun(text):
    which = "rise" if text.startswith("sunrise") else "set"
    rest = text[7 if which == "rise" else 6 :].replace(" ", "")
    if not rest:
        return ["sun", which, 0]
    sign = {"+": 1, "-": -1}.get(rest[0])
    if sign is None:
        raise ValueError("say sun%s, or sun%s +30 min" % (which, which))
    seconds = _seconds([rest[1:]], "sun" + which)
    if seconds > 43200:
        raise ValueError("at most 12 hours before or after the sun")
    return ["sun", which, sign * seconds // 60]
