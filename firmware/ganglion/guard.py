"""The one path to a pin. Nothing else but the drivers it loads may touch the pins of `machine`.

Every call reads the pad back after acting: a receipt says what the hardware shows, not what
was asked for. What a board forbids stands in its file; what its owner forbids is a row of
`limits` (docs/guard.md), which guard_set.py writes.
"""

import struct
import time

import machine
from machine import Pin
from micropython import const

from . import lazy

_SETTLE_US = const(20)
_TIMER = const(0)  # the one number that every chip has; nobody else may use it

# What is true of a GPIO, a byte each in `_state`.
_OUT = const(1)  # a plain output
_ON = const(2)  # away from its off level
_DUE = const(4)  # until the time in its row
_WAIT = const(8)  # may not be on until the time in its row
_BACK = const(16)  # and is to be on then, as it was before the reset
_KEPT = const(32)  # on, as flash has it
_LOST = const(64)  # made safe in this outage of the link

# A row of `limits`: gpio, flags, interlock group, rate a minute, switchings-on of the last seven
# 10 s, what to tell; u32: max_on_s, min_off_s, link_loss_s, until (0.1 s), number of the 10 s;
# f32: min, max. Its writer is guard_set.py.
ROW_BYTES = const(40)
_FLAGS = const(1)
_GROUP = const(2)
_RATE = const(3)
_COUNTS = const(4)
_TELL = const(11)
_MAX_ON = const(12)
_MIN_OFF = const(16)
_LINK_LOSS = const(20)
_UNTIL = const(24)
_TENS = const(28)
_RANGE = const(32)

# Flags: the safe level, is there one, restore "last", read only, not at all, is there a range.
_LEVEL = const(1)
_SAFE = const(2)
_LAST = const(4)
_READ = const(8)
_NOT = const(16)
_RANGED = const(32)

_WHY = ("", "was on for as long as it may be", "went safe: the link is lost", "went safe")
# Drivers whose pin a plain level may take over: better off than refused.
_GIVE_WAY = ("pwm", "servo")


class Refused(Exception):
    """The guard's no; `args[0]` is a sentence for a person."""


class Guard:
    def __init__(self, board):
        """`board` is a module of boards/: NAME, IO, IN, DENIED."""
        self.board = board
        self.limits = bytearray()
        self.uses = {}  # gpio -> what a driver uses it for
        self.store = None  # of guard_set, for outputs that come back as they were
        self._pins = {}  # gpio -> Pin, of those used plainly
        self._state = bytearray(64)
        self._clock = (0, time.ticks_ms())  # tenths of a second since boot, and their ticks
        self._timer = None
        self._on_timer = self._fire  # a bound method is an allocation, here made once

    def check(self, gpio, output):
        """Raises `Refused` unless board and owner let this pin be driven (or read)."""
        board = self.board
        if gpio not in board.IO:
            if gpio not in board.IN:
                for first, last, why in board.DENIED:
                    if first <= gpio <= last:
                        raise Refused("pin %d %s" % (gpio, why))
                raise Refused("this board has no pin %d" % gpio)
            if output:
                raise Refused("pin %d can only be read on this board" % gpio)
        at = self.row(gpio)
        if at >= 0:
            flags = self.limits[at + _FLAGS]
            if flags & _NOT:
                raise Refused("pin %d may not be used: its owner's limit" % gpio)
            if output and flags & _READ:
                raise Refused("pin %d may only be read: its owner's limit" % gpio)

    def within(self, gpio, value):
        """Raises `Refused` unless a driver may set this pin to `value`, in its tool's unit."""
        at = self.row(gpio)
        if at >= 0 and self.limits[at + _FLAGS] & _RANGED:
            low, high = struct.unpack_from("<ff", self.limits, at + _RANGE)
            if not low <= value <= high:
                raise Refused("pin %d takes %g to %g" % (gpio, low, high))

    # ---- plain levels

    def in_use(self):
        """GPIO numbers read or written since boot, sorted."""
        return sorted(self._pins)

    def write(self, gpio, level):
        """Drive a pin to 0 or 1; returns the level its pad then shows. Raises `Refused`."""
        self.check(gpio, True)
        use = self.uses.get(gpio)
        if use and use not in _GIVE_WAY:
            raise Refused("pin %d is in use (%s)" % (gpio, use))
        on = level != self._off(self.row(gpio))
        if not (on and self._state[gpio] & _ON):
            self._admit(gpio, on)
        return self._apply(gpio, on, lambda: self._put(gpio, level))

    def read(self, gpio):
        """The level of a pad; a pin not in use becomes an input. Raises `Refused`."""
        pin = self._pins.get(gpio)
        if pin is None:
            if gpio in self.uses:
                return Pin(gpio).value()  # as its driver set it up
            self.check(gpio, False)
            pin = self._pins[gpio] = Pin(gpio, Pin.IN)
        return pin.value()

    def _put(self, gpio, level):
        if self._state[gpio] & _OUT:
            pin = self._pins[gpio]
            pin.value(level)
        else:
            self.uses.pop(gpio, None)
            # The level goes in with the mode: no glitch through the other level.
            pin = self._pins[gpio] = Pin(gpio, Pin.OUT, value=level)
            self._state[gpio] |= _OUT
        time.sleep_us(_SETTLE_US)
        return pin.value()

    # ---- drivers

    def device(self, kind):
        """The driver module `hw_<kind>`, loaded."""
        return lazy.load("hw_" + kind)

    def take(self, gpio, use, output):
        """The pin is now used as `use`, until `free`; where the guard switches it off, `uses`
        no longer has it. Raises `Refused` when it is used otherwise."""
        self.check(gpio, output)
        old = self.uses.get(gpio)
        if old is None:
            self._pins.pop(gpio, None)
            self._state[gpio] &= ~_OUT
            self.uses[gpio] = use
        elif old != use:
            raise Refused("pin %d is in use (%s)" % (gpio, old))

    def free(self, gpio):
        """No use any more: its safe level where it has one, else a plain input."""
        at = self.row(gpio)
        if at >= 0 and self.limits[at + _FLAGS] & _SAFE:
            self._force(at, 0)
        else:
            self.uses.pop(gpio, None)
            self._pins[gpio] = Pin(gpio, Pin.IN)
            self._state[gpio] &= ~_OUT
            self._ended(gpio)

    def drive(self, gpio, on, act):
        """Calls `act()`, which makes the pin be on (or off), within its limits; returns what it
        returned. Raises `Refused`, and has then called nothing."""
        self._admit(gpio, on)
        return self._apply(gpio, on, act)

    # ---- limits

    def row(self, gpio):
        """Where the limits of a pin begin in `limits`, -1 if it has none."""
        limits = self.limits
        for at in range(0, len(limits), ROW_BYTES):
            if limits[at] == gpio:
                return at
        return -1

    def _u32(self, at):
        return struct.unpack_from("<I", self.limits, at)[0]

    def _off(self, at):
        """The level that is off: the safe one. Where none is given, 0."""
        flags = self.limits[at + _FLAGS] if at >= 0 else 0
        return flags & _LEVEL if flags & _SAFE else 0

    def _now(self):
        """Tenths of a second since boot."""
        tenths, ticks = self._clock
        return tenths + time.ticks_diff(time.ticks_ms(), ticks) // 100

    def _admit(self, gpio, on):
        """May it be switched on? Counts it. Switching off is always allowed."""
        at = self.row(gpio)
        if not on or at < 0:
            return
        limits = self.limits
        now = self._now()
        state = self._state[gpio]
        if state & _WAIT:
            left = self._u32(at + _UNTIL) - now
            if left > 0:
                raise self._not_before(gpio, at, left)
        group = limits[at + _GROUP]
        if group and not state & _ON:
            for other in range(0, len(limits), ROW_BYTES):
                if limits[other + _GROUP] == group and self._state[limits[other]] & _ON:
                    raise Refused("pin %d and pin %d are never on together" % (gpio, limits[other]))
        rate = limits[at + _RATE]
        if rate:
            first = at + _COUNTS
            tens = now // 100
            n = min(tens - self._u32(at + _TENS), 7)
            limits[first : first + 7] = bytes(n) + limits[first : first + 7 - n]
            struct.pack_into("<I", limits, at + _TENS, tens)
            total = sum(limits[first : first + 7])
            if total >= rate:
                n = 7
                while total >= rate:
                    n -= 1
                    total -= limits[first + n]
                raise self._not_before(gpio, at, (tens + 7 - n) * 100 - now)
            limits[first] += 1

    def _not_before(self, gpio, at, left):
        word = "off" if self._off(at) else "on"
        return Refused("pin %d may be %s again in %d s" % (gpio, word, (left + 9) // 10))

    def _apply(self, gpio, on, act):
        state = self._state
        if on:
            if not state[gpio] & _ON:
                at = self.row(gpio)
                state[gpio] = state[gpio] & ~(_WAIT | _BACK) | _ON
                # Before the act: what hangs in it must not stay on.
                if at >= 0:
                    self.begin(at)
            shown = act()
            if not state[gpio] & _ON:
                # The timer ended it while it was switched on once more.
                self._force(self.row(gpio), 0)
        else:
            shown = act()
            self._ended(gpio)
        if self.store:
            self._keep(gpio)
        return shown

    def begin(self, at):
        """The time that an output may be on runs from now."""
        seconds = self._u32(at + _MAX_ON)
        if seconds:
            struct.pack_into("<I", self.limits, at + _UNTIL, self._now() + seconds * 10)
            self._state[self.limits[at]] |= _DUE
            self._arm()

    def _ended(self, gpio):
        """It is off. Called by the timer, too."""
        state = self._state[gpio]
        self._state[gpio] = state & ~(_ON | _DUE | _BACK)
        at = self.row(gpio)
        if at >= 0 and state & _ON:
            seconds = self._u32(at + _MIN_OFF)
            if seconds:
                struct.pack_into("<I", self.limits, at + _UNTIL, self._now() + seconds * 10)
                self._state[gpio] |= _WAIT

    def _force(self, at, why):
        """To the off level, whoever drives it. Called by the timer, too: nothing may wait here."""
        gpio = self.limits[at]
        level = self._off(at)
        if self._state[gpio] & _OUT:
            self._pins[gpio].value(level)
        else:
            # A mode takes the pad away from PWM and the like.
            self._pins[gpio] = Pin(gpio, Pin.OUT, value=level)
            self.uses.pop(gpio, None)
            self._state[gpio] |= _OUT
        self._ended(gpio)
        self.limits[at + _TELL] = why

    def _arm(self):
        """One hardware timer for the next output that has been on for long enough."""
        limits = self.limits
        until = None
        for at in range(0, len(limits), ROW_BYTES):
            if self._state[limits[at]] & _DUE:
                due = self._u32(at + _UNTIL)
                if until is None or due < until:
                    until = due
        if until is not None:
            tenths, ticks = self._clock
            self._start((until - tenths) * 100 - time.ticks_diff(time.ticks_ms(), ticks))

    def _start(self, ms):
        if self._timer is None:
            self._timer = machine.Timer(_TIMER)
        self._timer.init(mode=machine.Timer.ONE_SHOT, period=max(ms, 1), callback=self._on_timer)

    def _fire(self, timer):
        try:
            now = self._now()
            limits = self.limits
            for at in range(0, len(limits), ROW_BYTES):
                if self._state[limits[at]] & _DUE and self._u32(at + _UNTIL) <= now:
                    self._force(at, 1)
            self._arm()
        except MemoryError:
            self._start(50)

    def tick(self, down_s):
        """Once a second: the link has been down for `down_s`. Returns what the guard did by
        itself since, `(gpio, sentence)` each."""
        # Here and not in _now: the ticks wrap after days.
        ticks = self._clock[1]
        now = self._now()
        self._clock = (now, time.ticks_add(ticks, (now - self._clock[0]) * 100))
        told = []
        limits = self.limits
        state = self._state
        for at in range(0, len(limits), ROW_BYTES):
            gpio = limits[at]
            loss = self._u32(at + _LINK_LOSS)
            if not down_s:
                state[gpio] &= ~_LOST
            elif loss and down_s >= loss and not state[gpio] & _LOST:
                state[gpio] |= _LOST
                if state[gpio] & (_ON | _BACK):
                    self._force(at, 2)
            if state[gpio] & _WAIT and self._u32(at + _UNTIL) <= now:
                back = state[gpio] & _BACK
                state[gpio] &= ~(_WAIT | _BACK)
                if back:
                    try:
                        self.write(gpio, 1 - self._off(at))
                    except Refused as e:
                        told.append((gpio, e.args[0]))
            if limits[at + _TELL]:
                told.append((gpio, "pin %d %s" % (gpio, _WHY[limits[at + _TELL]])))
                limits[at + _TELL] = 0
            if self.store:
                self._keep(gpio)
        return told

    def safe(self):
        """Every output that has a safe level goes there, and what is on within limits, off."""
        limits = self.limits
        for at in range(0, len(limits), ROW_BYTES):
            if limits[at + _FLAGS] & _SAFE or self._state[limits[at]] & _ON:
                self._force(at, 3)

    def _keep(self, gpio):
        """The level on flash, of outputs that come back with it."""
        at = self.row(gpio)
        if at < 0 or not self.limits[at + _FLAGS] & _LAST:
            return
        state = self._state[gpio]
        # What waits to come back is on as far as flash is concerned.
        on = state & (_ON | _BACK) != 0
        if on != (state & _KEPT != 0):
            try:
                self.store.set("o:%d" % gpio, 1 if on else 0)
            except Exception:
                return  # a full flash must not keep anything from being switched
            self._state[gpio] ^= _KEPT
