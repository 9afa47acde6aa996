# machine.Timer: all of them on one interval timer of the host.
from time import ticks_add, ticks_diff, ticks_ms

import _hw
from micropython import const

# Asked again until it is served: a signal that comes while the queue is full is no timer lost.
_AGAIN_US = const(20000)


class Timer:
    ONE_SHOT = 0
    PERIODIC = 1

    def __init__(self, id=-1, **settings):
        self._callback = None
        if settings:
            self.init(**settings)

    def init(self, *, mode=PERIODIC, freq=None, period=None, callback=None, hard=False):
        """`period` in ms, or `freq` in Hz."""
        self.deinit()
        if freq:
            period = int(1000 / freq)
        if period is None or period < 0:
            raise ValueError("period")
        self._period = max(period, 1)
        self._again = mode == self.PERIODIC
        self._callback = callback
        self.due = ticks_add(ticks_ms(), self._period)
        _hw.run_timers = run
        _hw.timers.append(self)
        _arm()

    def deinit(self):
        if self in _hw.timers:
            _hw.timers.remove(self)
            _arm()

    def value(self):
        return self._period - max(ticks_diff(self.due, ticks_ms()), 0)


def run():
    """Call what is due."""
    now = ticks_ms()
    for timer in list(_hw.timers):
        if ticks_diff(timer.due, now) <= 0:
            if timer._again:
                # From the due time, so that a late call makes no drift; but no burst after a hang.
                timer.due = ticks_add(timer.due, timer._period)
                if ticks_diff(timer.due, now) < 0:
                    timer.due = ticks_add(now, timer._period)
            else:
                _hw.timers.remove(timer)
            if timer._callback:
                _hw.call(timer._callback, timer)
    _arm()


def _arm():
    us = 0
    if _hw.timers:
        now = ticks_ms()
        us = max(min([ticks_diff(t.due, now) for t in _hw.timers]) * 1000, 100)
    _hw.alarm(us, _AGAIN_US if us else 0)
