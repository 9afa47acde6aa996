"""The owner's limits of a pin: on flash under `g:<gpio>`, in RAM as a row of the guard's table.

Loaded at boot and for a change. What a limit is: docs/guard.md.
"""

import sys
import time
from array import array
from binascii import crc32

from micropython import const

from .guard import ROW, Refused
from .store import StoreFull

MAX_PINS = 24

# As in guard.py, which keeps them to itself: names there would cost memory for ever.
_OUT = const(1)
_ON = const(2)
_DUE = const(4)
_WAIT = const(8)
_BACK = const(16)
_KEPT = const(32)
_LOST = const(64)
_FLAGS = const(1)
_INTERLOCK = const(2)
_MAX_ON = const(4)
_MIN_OFF = const(5)
_UNTIL = const(7)
_LEVEL = const(1)
_SAFE = const(2)
_LAST = const(4)
_READ = const(8)
_NOT = const(16)
_RANGE = const(32)

_KEY = "g:%d"
_LEVEL_KEY = "o:%d"


def _row(gpio, limit):
    """The words of a row at rest."""
    allow = limit.get("allow", "io")
    if allow != "io":
        # Never an output: the rest of its limits waits until it may be one.
        return array("I", [gpio, _READ if allow == "in" else _NOT] + [0] * (ROW - 2))
    flags = 0
    if "safe" in limit:
        flags = _SAFE | limit["safe"]
    if limit.get("restore") == "last":
        flags |= _LAST
    if "min" in limit or "max" in limit:
        flags |= _RANGE
    word = limit.get("interlock")
    return array(
        "I",
        [
            gpio,
            flags,
            crc32(word.encode()) if word else 0,
            limit.get("rate_per_min", 0),
            limit.get("max_on_s", 0),
            limit.get("min_off_s", 0),
            limit.get("link_loss_s", 0),
            0,
            0,
            0,
        ],
    )


def boot(guard, store, back):
    """Reads the limits and puts outputs where they belong: those that ask for it to their last
    level if `back`, the others to their safe one."""
    guard.store = store
    for key in store.keys("g:")[:MAX_PINS]:
        try:
            guard.limits.extend(_row(int(key), store.get("g:" + key)))
        except (ValueError, TypeError, AttributeError) as e:
            print("ganglion: the limit of pin %s is of another version: %r" % (key, e))
    limits = guard.limits
    for at in range(0, len(limits), ROW):
        gpio = limits[at]
        flags = limits[at + _FLAGS]
        last = store.get(_LEVEL_KEY % gpio) if flags & _LAST else None
        if last:
            guard.state[gpio] |= _KEPT
        on = last if back else None
        if limits[at + _MIN_OFF]:
            # Nobody knows for how long it was off.
            limits[at + _UNTIL] = time.ticks_add(time.ticks_ms(), limits[at + _MIN_OFF] * 1000)
            guard.state[gpio] |= _WAIT | (_BACK if on else 0)
        try:
            if flags & _SAFE or on is not None:
                guard.write(gpio, flags & _LEVEL)
                if on and limits[at + _MIN_OFF]:
                    guard.state[gpio] |= _BACK  # which switching off took back
            if on and not limits[at + _MIN_OFF]:
                guard.write(gpio, 1 - (flags & _LEVEL))
        except Refused as e:
            print("ganglion: " + e.args[0])
    # A chip that restarts without a loss of power may keep its pads as they were, a PWM running.
    # Not where the image uses PSRAM, which may be wired to pins that the board's file has.
    if "SPIRAM" not in getattr(sys.implementation, "_machine", ""):
        for gpio in guard.board.IO:
            if not guard.state[gpio] & _OUT:
                guard.free(gpio)


def get(store, gpio):
    """The limits of a pin, by name; empty if there are none."""
    return store.get(_KEY % gpio) or {}


def outside(store, gpio, value):
    """What is wrong with a driver's value, or None."""
    limit = get(store, gpio)
    low = limit.get("min", value)
    high = limit.get("max", value)
    if low <= value <= high:
        return None
    if "max" not in limit:
        return "pin %d takes %s or more" % (gpio, low)
    if "min" not in limit:
        return "pin %d takes %s at most" % (gpio, high)
    return "pin %d takes %s to %s" % (gpio, low, high)


def change(guard, store, gpio, given):
    """Merges `given` into the limits of a pin, on flash first, and holds the pin to them at once.

    0 and "none" take one away. Returns the limits and whether the pin was switched off. Raises
    ValueError for what contradicts itself, `Refused` for what the board forbids, `StoreFull`.
    """
    board = guard.board
    if gpio not in board.IO:
        if gpio not in board.IN:
            guard.check(gpio, False)
        if len(given) > 1 or given.get("allow", "io") == "io":
            raise Refused("pin %d can only be read on this board: allow in or no" % gpio)
    limit = get(store, gpio)
    for name, value in given.items():
        if value == "none" or (value == 0 and name not in ("safe", "min", "max")):
            limit.pop(name, None)
        else:
            limit[name] = value
    if limit.get("min", 0) > limit.get("max", limit.get("min", 0)):
        raise ValueError("min is above max")
    if not limit:
        delete(guard, store, gpio)
        return limit, False
    at = guard.row(gpio)
    if at < 0 and len(guard.limits) >= MAX_PINS * ROW:
        raise StoreFull("%d pins have limits already" % MAX_PINS)
    store.set(_KEY % gpio, limit)
    row = _row(gpio, limit)
    state = guard.state[gpio]
    if at < 0:
        at = len(guard.limits)
        guard.limits.extend(row)
    else:
        if state & _DUE:
            # Counted from when it was switched on.
            row[_UNTIL] = time.ticks_add(
                guard.limits[at + _UNTIL], 1000 * (row[_MAX_ON] - guard.limits[at + _MAX_ON])
            )
        elif state & _WAIT:
            row[_UNTIL] = guard.limits[at + _UNTIL]
        for n in range(_UNTIL + 1):  # what was counted goes on
            guard.limits[at + n] = row[n]
    return limit, _hold(guard, store, at, given)


def delete(guard, store, gpio):
    """False if the pin had no limits. Raises `StoreFull`."""
    if not store.delete(_KEY % gpio):
        return False
    store.delete(_LEVEL_KEY % gpio)
    at = guard.row(gpio)
    if at >= 0:
        guard.limits = guard.limits[:at] + guard.limits[at + ROW :]
    guard.state[gpio] &= ~(_DUE | _WAIT | _BACK | _KEPT | _LOST)
    _look(guard, gpio, 0)
    return True


def _look(guard, gpio, off):
    """Is a plain output on, now that `off` is its off level?"""
    state = guard.state[gpio]
    if state & _OUT:
        state &= ~_ON
        if guard.read(gpio) != off:
            state |= _ON
        guard.state[gpio] = state


def _hold(guard, store, at, given):
    """Holds a pin to its changed row; True if that switched it off."""
    limits = guard.limits
    gpio = limits[at]
    flags = limits[at + _FLAGS]
    if flags & (_READ | _NOT):
        on = guard.state[gpio] & _ON
        guard.free(gpio)
        guard.state[gpio] &= ~(_WAIT | _BACK)
        return bool(on)
    state = guard.state[gpio] & ~_KEPT
    if flags & _LAST and store.get(_LEVEL_KEY % gpio):
        state |= _KEPT
    if not limits[at + _MAX_ON]:
        state &= ~_DUE
    if not limits[at + _MIN_OFF]:
        state &= ~_WAIT
    guard.state[gpio] = state
    _look(guard, gpio, flags & _LEVEL)
    if not guard.state[gpio] & _ON:
        guard.state[gpio] &= ~_DUE
        return False
    # A driver's value is not known here; it is set anew within the range.
    wrong = flags & _RANGE and ("min" in given or "max" in given) and gpio in guard.uses
    if limits[at + _INTERLOCK]:
        for other in range(0, len(limits), ROW):
            if other != at and limits[other + _INTERLOCK] == limits[at + _INTERLOCK]:
                wrong = wrong or guard.state[limits[other]] & _ON
    if wrong:
        guard.force(at, 3)
    elif state & _DUE:
        guard.mind()
    else:
        guard.begin(gpio)
    return not guard.state[gpio] & _ON
