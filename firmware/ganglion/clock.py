"""Whether the time is known, and what it is.

`time.time()` counts from 2000 on the ESP32 and from 1970 on the Unix port; everything outside
this file speaks Unix seconds, in ints: a chip's float is too short for a timestamp.
"""

import time

import machine
from micropython import const

_EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0
# A clock that reads earlier than this has never been set: 2026-01-01T00:00:00Z.
_OLDEST = const(1767225600)


def now():
    """Unix seconds, or None while the time is not known."""
    t = int(time.time()) + _EPOCH
    return t if t >= _OLDEST else None


def set_unix(seconds):
    """Set the chip's clock. False when the time cannot be right."""
    if not _OLDEST <= seconds < 4102444800:  # 2100
        return False
    y, mo, d, h, mi, s, wd, _ = time.gmtime(seconds - _EPOCH)
    machine.RTC().datetime((y, mo, d, wd, h, mi, s, 0))
    return True


def from_ntp():
    """Ask an NTP server; blocks for a second at most. True when the time is now known."""
    try:
        import ntptime

        ntptime.settime()
    except (OSError, ValueError):  # ValueError: an answer that is too short
        return False
    return now() is not None


def iso(seconds):
    """ISO 8601, UTC."""
    y, mo, d, h, mi, s = time.gmtime(seconds - _EPOCH)[:6]
    return "%04d-%02d-%02dT%02d:%02d:%02dZ" % (y, mo, d, h, mi, s)


def weekday(seconds):
    """0 is Monday."""
    return time.gmtime(seconds - _EPOCH)[6]
