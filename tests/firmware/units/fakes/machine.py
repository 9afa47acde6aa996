# A fake: pads in a dict, for unit tests. A pad in `held` keeps its level whatever is driven.
import time as _time

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
latch = {}
held = {}
writes = []


class Pin:
    IN = 0
    OUT = 1

    def __init__(self, n, mode=-1, value=None):
        self.n = n
        if mode == Pin.OUT:
            writes.append((n, value))
            latch[n] = value
        elif mode == Pin.IN:
            latch.pop(n, None)  # it floats

    def value(self, v=None):
        if v is not None:
            writes.append((self.n, v))
            latch[self.n] = v
        return held.get(self.n, latch.get(self.n, 0))


class Timer:
    """Does nothing by itself: a test calls `Timer.armed.fire()`."""

    ONE_SHOT = 0
    PERIODIC = 1
    armed = None

    def __init__(self, n):
        self.n = n

    def init(self, mode, period, callback):
        self.period = period
        self.callback = callback
        Timer.armed = self

    def fire(self):
        Timer.armed = None
        self.callback(self)


class RTC:
    set_to = None

    def datetime(self, t=None):
        RTC.set_to = t


def reset():
    raise SystemExit


def clean():
    latch.clear()
    held.clear()
    writes.clear()
    Timer.armed = None
    assert _time
