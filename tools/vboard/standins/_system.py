# machine.RTC and machine.WDT.
import struct

import utime
from _hw import mem, set_u32
from micropython import const

_WDT_ON = const(5)
_WDT_FED = const(6)
_WDT_MS = const(24)
_CLOCK = const(40)
_RTC_LEN = const(704)
_RTC = const(706)
_RTC_SIZE = const(2048)


class RTC:
    def __init__(self, id=0):
        pass

    def datetime(self, new=None):
        """(year, month, day, weekday, hour, minute, second, microsecond)"""
        import time

        if new is None:
            y, mo, d, h, mi, s, wd, _ = time.gmtime()
            return (y, mo, d, wd, h, mi, s, utime.time_ns() // 1000 % 1000000)
        y, mo, d, _, h, mi, s = new[:7]
        # mktime is local time; the launcher sets the zone to UTC.
        world = time.time() - struct.unpack_from("<q", mem, _CLOCK)[0]
        offset = int(utime.mktime((y, mo, d, h, mi, s, 0, 0, 0))) - world
        struct.pack_into("<q", mem, _CLOCK, offset)

    def init(self, new):
        self.datetime(new)

    def memory(self, data=None):
        """2048 bytes that outlive every reset but the loss of power."""
        if data is None:
            n = mem[_RTC_LEN] | mem[_RTC_LEN + 1] << 8
            return bytes(mem[_RTC : _RTC + n])
        n = len(data)
        if n > _RTC_SIZE:
            raise ValueError("buffer too long")
        mem[_RTC_LEN] = mem[_RTC_LEN + 1] = 0
        mem[_RTC : _RTC + n] = data
        struct.pack_into("<H", mem, _RTC_LEN, n)


class WDT:
    """Once started it cannot be stopped; the launcher watches the feeds."""

    def __init__(self, id=0, timeout=5000):
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        set_u32(_WDT_MS, timeout)
        self.feed()
        mem[_WDT_ON] = 1

    def feed(self):
        mem[_WDT_FED] = mem[_WDT_FED] + 1 & 255
