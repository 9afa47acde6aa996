# A fake: pads in a dict, for unit tests. A pad in `held` keeps its level whatever is driven.
import time as _time

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
latch = {}
held = {}
writes = []
edges = {}
pwms = {}


class Pin:
    IN = 0
    OUT = 1
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __init__(self, n, mode=-1, pull=-1, value=None):
        self.n = n
        if mode != -1:
            pwms.pop(n, None)  # a mode takes the pad from PWM, as on the chip
        if mode in (Pin.OUT, Pin.OPEN_DRAIN):
            writes.append((n, value))
            latch[n] = value
        elif mode == Pin.IN:
            latch.pop(n, None)  # it floats

    def value(self, v=None):
        if v is not None:
            writes.append((self.n, v))
            latch[self.n] = v
        return held.get(self.n, latch.get(self.n, 0))

    def irq(self, handler, trigger=3):
        if handler is None:
            edges.pop(self.n)
        else:
            edges[self.n] = (handler, trigger)


def edge(n, level):
    """A test drives an input: its interrupt runs if it waits for this edge."""
    latch[n] = level
    if n in edges and edges[n][1] & (1 if level else 2):
        edges[n][0](Pin(n))


class PWM:
    """Counts a duty in 1/4096, as a fast PWM of a chip does; `broken` halves its frequency."""

    broken = False

    def __init__(self, pin, freq=None, duty_u16=None, duty_ns=None):
        if freq is not None:
            if len(pwms) >= 3 and pin.n not in pwms:
                raise ValueError("out of PWM timers:3")
            if duty_u16 is None:
                duty_u16 = duty_ns * freq // 1000 * 65536 // 1000000
            pwms[pin.n] = [freq // 2 if PWM.broken else freq, duty_u16 & ~15]
        self.n = pin.n

    def freq(self):
        return pwms[self.n][0]

    def duty_u16(self):
        return pwms[self.n][1]

    def duty_ns(self):
        return pwms[self.n][1] * 1000000000 // 65536 // pwms[self.n][0]

    def deinit(self):
        pwms.pop(self.n, None)


class SoftI2C:
    """A device at 0x3c that acknowledges two bytes; anything else is as `fails` says."""

    fails = 19

    def __init__(self, scl, sda, freq):
        pass

    def writeto(self, addr, data, stop):
        if addr != 0x3C:
            raise OSError(SoftI2C.fails)
        return min(len(data), 2)


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

    def deinit(self):
        if Timer.armed is self:
            Timer.armed = None

    def fire(self):
        Timer.armed = None
        self.callback(self)


class RTC:
    set_to = None
    kept = b""

    def memory(self, data=None):
        if data is None:
            return RTC.kept
        assert len(data) <= 2048
        RTC.kept = bytes(data)

    def datetime(self, t=None):
        RTC.set_to = t


def reset():
    raise SystemExit


def clean():
    latch.clear()
    held.clear()
    writes.clear()
    edges.clear()
    pwms.clear()
    PWM.broken = False
    SoftI2C.fails = 19
    Timer.armed = None
    assert _time
