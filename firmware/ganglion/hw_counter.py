"""Counts edges. In the heap while something is counted."""

import time

from machine import Pin
from micropython import const

MAX_COUNTERS = 4
_EDGES = {"rising": Pin.IRQ_RISING, "falling": Pin.IRQ_FALLING}
_BOTH = const(2)

counters = {}  # gpio -> _Counter


class _Counter:
    """Its interrupt allocates nothing: small ints only."""

    def __init__(self, pin, edge, debounce_ms):
        self.n = 0
        self._pin = pin
        self._level = _BOTH if edge == "both" else 1 if edge == "rising" else 0
        self._quiet_ms = debounce_ms
        self._last = time.ticks_add(time.ticks_ms(), -debounce_ms)
        any_edge = Pin.IRQ_RISING | Pin.IRQ_FALLING
        if debounce_ms:
            # A contact bounces at its release as well, so both edges are looked at.
            pin.irq(self._bouncing, any_edge)
        else:
            pin.irq(self._count, _EDGES.get(edge, any_edge))

    def _count(self, pin):
        self.n += 1

    def _bouncing(self, pin):
        now = time.ticks_ms()
        quiet_ms = time.ticks_diff(now, self._last)
        self._last = now
        # Below 0 after six quiet days, when the ticks have wrapped.
        if 0 <= quiet_ms < self._quiet_ms:
            return
        if self._level == _BOTH or pin.value() == self._level:
            self.n += 1

    def stop(self):
        self._pin.irq(None)


def start(gpio, edge, debounce_ms, pull):
    stop(gpio)
    pulls = {"up": Pin.PULL_UP, "down": Pin.PULL_DOWN}
    counters[gpio] = _Counter(Pin(gpio, Pin.IN, pulls.get(pull)), edge, debounce_ms)


def stop(gpio):
    """What was counted, or None."""
    counter = counters.pop(gpio, None)
    if counter is None:
        return None
    counter.stop()
    Pin(gpio, Pin.IN, None)
    return counter.n
