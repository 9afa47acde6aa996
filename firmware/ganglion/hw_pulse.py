"""Outputs that go off by themselves. In the heap only while one of them is on."""

import time

import machine
from micropython import const

from . import lazy
from .guard import Refused

_TIMER = const(1)  # the guard has 0; an ESP32-C3 has no more than these two
_AGAIN_MS = const(50)
MAX_PULSES = 8

_ends = {}  # gpio -> ticks at which it goes off
_timer = machine.Timer(_TIMER)
_guard = None


def room(gpio):
    return gpio in _ends or len(_ends) < MAX_PULSES


def start(guard, gpio, ms):
    """On now; `(level of its pad, level that is on)`. A pulse that runs already ends anew, `ms`
    from now."""
    global _guard
    _guard = guard
    off = guard.off(gpio)
    try:
        level = guard.write(gpio, 1 - off)
        if level != off:
            _ends[gpio] = time.ticks_add(time.ticks_ms(), ms)
        else:
            _ends.pop(gpio, None)
            guard.write(gpio, off)
    finally:
        _arm()
    return level, 1 - off


def forget(gpio):
    """Someone else has set the pin: this pulse ends here."""
    if _ends.pop(gpio, None) is not None:
        _arm()


def _arm():
    if not _ends:
        _timer.deinit()
        lazy.drop("hw_pulse")
        return
    now = time.ticks_ms()
    left = min([time.ticks_diff(end, now) for end in _ends.values()])
    _timer.init(mode=machine.Timer.ONE_SHOT, period=max(left, 1), callback=_fire)


def _fire(timer):
    if not _ends:
        return  # forgotten while it was on its way, and the timer may be another pulse's now
    try:
        now = time.ticks_ms()
        for gpio in list(_ends):
            if time.ticks_diff(_ends[gpio], now) <= 0:
                try:
                    _guard.write(gpio, _guard.off(gpio))
                except Refused:
                    pass  # a driver has the pin now
                del _ends[gpio]
        _arm()
    except MemoryError:
        timer.init(mode=machine.Timer.ONE_SHOT, period=_AGAIN_MS, callback=_fire)
