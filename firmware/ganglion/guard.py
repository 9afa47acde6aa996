"""The one path to a pin. Nothing else but the drivers it loads may touch the pins of `machine`.

Every call reads the pad back after acting: a receipt says what the hardware shows, not what
was asked for. What a board forbids stands in its file; what its owner forbids is a row of
`limits` (docs/guard.md), which guard_set.py writes.
"""

import time
from array import array

import machine
from machine import Pin
from micropython import const

from . import lazy

_SETTLE_US = const(20)
_SLOT_MS = const(15000)
_TIMER = const(0)  # the one number that every chip has; nobody else may use it

# What is true of a GPIO, a byte each in `state`.
_OUT = const(1)  # a plain output
_ON = const(2)  # away from its off level
_DUE = const(4)  # until the time in its row
_WAIT = const(8)  # may not be on until the time in its row
_BACK = const(16)  # and is to be on then, as it was before the reset
_KEPT = const(32)  # on, as flash has it
_LOST = const(64)  # made safe in this outage of the link

# A row of `limits`, in words of 32 bits: gpio, flags (and from bit 8 what to tell), interlock,
# rate_per_min, max_on_s, min_off_s, link_loss_s; then what changes: until (ticks in ms: none is
# further away than a day), number of the last 15 s with a switching-on, how many those and the
# four before had (6 bits each, the last highest). guard_set.py writes them.
ROW = const(10)
_FLAGS = const(1)
_INTERLOCK = const(2)
_RATE = const(3)
_MAX_ON = const(4)
_MIN_OFF = const(5)
_LINK_LOSS = const(6)
_UNTIL = const(7)
_SLOT = const(8)
_COUNTS = const(9)

# Flags: the safe level, is there one, restore "last", read only, not at all, is there a range.
_LEVEL = const(1)
_SAFE = const(2)
_LAST = const(4)
_READ = const(8)
_NOT = const(16)
_RANGE = const(32)

_WHY = ("", "was on for as long as it may be", "went safe: the link is lost", "went safe")
# Drivers whose pin a plain level may take over: better off than refused.
_GIVE_WAY = ("pwm", "servo")


class Refused(Exception):
    """The guard's no; `args[0]` is a sentence for a person."""


class Guard:
    def __init__(self, board):
        """`board` is a module of boards/: NAME, IO, IN, DENIED."""
        self.board = board
        self.limits = array("I")
        self.uses = {}  # gpio -> what a driver uses it for
        self.store = None  # set by guard_set
        self._pins = {}  # gpio -> Pin, of those used plainly
        self.state = bytearray(64)
        self._slot = 0  # 15 s since boot, and the ticks of their beginning
        self._slot_ms = time.ticks_ms()
        self._timer = None

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
        flags = self._flags(gpio)
        if flags & _NOT or (output and flags & _READ):
            raise Refused(
                "pin %d may %s: its limit"
                % (gpio, "only be read" if flags & _READ else "not be used")
            )

    def within(self, gpio, value):
        """Raises `Refused` unless a driver may set this pin to `value`, in its tool's unit."""
        if self._flags(gpio) & _RANGE:
            try:
                why = lazy.load("guard_set").outside(self.store, gpio, value)
            finally:
                lazy.drop("guard_set")
            if why:
                raise Refused(why)

    # ---- plain levels

    def in_use(self):
        """GPIO numbers read or written since boot, sorted."""
        return sorted(self._pins)

    def write(self, gpio, level):
        """Drive a pin to 0 or 1; returns the level its pad then shows. Raises `Refused`."""
        self.check(gpio, True)
        use = self.uses.get(gpio)
        if use and use not in _GIVE_WAY:
            raise self._used(gpio)
        on = level != self.off(gpio)
        if on and not self.state[gpio] & _ON:
            self._admit(gpio)
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
        """Called by the timer, too: nothing may wait here."""
        if self.state[gpio] & _OUT:
            pin = self._pins[gpio]
            pin.value(level)
        else:
            # A mode takes the pad from PWM and the like. The level goes in with it: no glitch
            # through the other one.
            pin = self._pins[gpio] = Pin(gpio, Pin.OUT, value=level)
            self.uses.pop(gpio, None)
            self.state[gpio] |= _OUT
        time.sleep_us(_SETTLE_US)
        return pin.value()

    # ---- drivers

    def device(self, kind):
        """The driver module `hw_<kind>`, loaded."""
        return lazy.load("hw_" + kind)

    def take(self, gpio, use, output):
        """The pin is now used as `use`, until `free`, or until `uses` has it no more: the guard
        has switched it off then. Raises `Refused` when it is used otherwise."""
        self.check(gpio, output)
        if self.uses.get(gpio, use) != use:
            raise self._used(gpio)
        if gpio not in self.uses:
            self._pins.pop(gpio, None)
            self.state[gpio] &= ~_OUT
            self.uses[gpio] = use
            if not output:
                self._ended(gpio)

    def free(self, gpio):
        """No use any more: its safe level where it has one, else a plain input."""
        self.uses.pop(gpio, None)
        if self._flags(gpio) & _SAFE:
            self._put(gpio, self.off(gpio))
        else:
            Pin(gpio, Pin.IN)
            self._pins.pop(gpio, None)
            self.state[gpio] &= ~_OUT
        self._ended(gpio)

    def drive(self, gpio, on, act):
        """Calls `act()`, which makes the pin be on (or off), within its limits; returns what it
        returned. Raises `Refused`, and has then called nothing."""
        if on:
            self._admit(gpio)
        return self._apply(gpio, on, act)

    def _used(self, gpio):
        return Refused("pin %d is in use: %s" % (gpio, self.uses[gpio]))

    # ---- limits

    def row(self, gpio):
        """Where the limits of a pin begin in `limits`, -1 if it has none."""
        limits = self.limits
        for at in range(0, len(limits), ROW):
            if limits[at] == gpio:
                return at
        return -1

    def _flags(self, gpio):
        at = self.row(gpio)
        return self.limits[at + _FLAGS] if at >= 0 else 0

    def off(self, gpio):
        """The level that is off: the safe one. Where none is given, 0."""
        return self._flags(gpio) & _LEVEL

    def _admit(self, gpio):
        """May it be switched on? Counts it. Switching off is always allowed."""
        at = self.row(gpio)
        if at < 0:
            return
        limits = self.limits
        state = self.state
        now = time.ticks_ms()
        left = time.ticks_diff(limits[at + _UNTIL], now) if state[gpio] & _WAIT else 0
        interlock = limits[at + _INTERLOCK]
        if interlock:
            for other in range(0, len(limits), ROW):
                if other != at and limits[other + _INTERLOCK] == interlock:
                    if state[limits[other]] & _ON:
                        raise Refused(
                            "pin %d is on: never together with %d" % (limits[other], gpio)
                        )
        rate = limits[at + _RATE]
        if rate and left <= 0:
            past = time.ticks_diff(now, self._slot_ms)
            slot = self._slot + past // _SLOT_MS
            counts = limits[at + _COUNTS] >> min(slot - limits[at + _SLOT], 5) * 6
            total = 0
            # From the newest: the one that makes it too many must be over for a minute.
            for n in range(5):
                total += counts >> (24 - 6 * n) & 63
                if total >= rate:
                    left = (slot - self._slot - n + 5) * _SLOT_MS - past
                    break
            else:
                limits[at + _SLOT] = slot
                limits[at + _COUNTS] = counts + (1 << 24)
        if left > 0:
            word = "off" if self.off(gpio) else "on"
            raise Refused("pin %d may be %s again in %d s" % (gpio, word, (left + 999) // 1000))

    def _apply(self, gpio, on, act):
        if not on:
            shown = act()
            self._ended(gpio)
            return shown
        if not self.state[gpio] & _ON:
            # Before the act: what hangs in it must not stay on.
            self.begin(gpio)
        shown = act()
        if not self.state[gpio] & _ON:
            # The timer ended it just when it was switched on once more.
            self._put(gpio, self.off(gpio))
        return shown

    def begin(self, gpio):
        """It is on; the time that it may be runs from now."""
        state = self.state[gpio] & ~(_WAIT | _BACK) | _ON
        at = self.row(gpio)
        if at >= 0 and self.limits[at + _MAX_ON]:
            self._from_now(at, _MAX_ON)
            state |= _DUE
        self.state[gpio] = state
        if state & _DUE:
            self.mind()

    def _from_now(self, at, field):
        self.limits[at + _UNTIL] = time.ticks_add(time.ticks_ms(), self.limits[at + field] * 1000)

    def _ended(self, gpio):
        """It is off. Called by the timer, too."""
        state = self.state[gpio]
        at = self.row(gpio)
        if at >= 0 and state & _ON and self.limits[at + _MIN_OFF]:
            self._from_now(at, _MIN_OFF)
            state |= _WAIT
        self.state[gpio] = state & ~(_ON | _DUE | _BACK)

    def force(self, at, why):
        """To the off level, whoever drives it; `why` is told by `tick`. The timer calls it."""
        gpio = self.limits[at]
        self._put(gpio, self.off(gpio))
        self._ended(gpio)
        self.limits[at + _FLAGS] |= why << 8

    def mind(self, timer=None):
        """Switches off what has been on for long enough; one hardware timer for the next, which
        calls this even where every task hangs."""
        limits = self.limits
        soonest = 0
        try:
            now = time.ticks_ms()
            for at in range(0, len(limits), ROW):
                if self.state[limits[at]] & _DUE:
                    ms = time.ticks_diff(limits[at + _UNTIL], now)
                    if ms <= 0:
                        self.force(at, 1)
                    elif not soonest or ms < soonest:
                        soonest = ms
        except MemoryError:
            soonest = 50
        if soonest:
            if self._timer is None:
                self._timer = machine.Timer(_TIMER)
            self._timer.init(mode=machine.Timer.ONE_SHOT, period=soonest, callback=self.mind)

    def tick(self, down_s):
        """Once a second: the link has been down for `down_s`. Returns what the guard did by
        itself since, `(gpio, sentence)` each."""
        told = []
        limits = self.limits
        state = self.state
        now = time.ticks_ms()
        # Here, as the ticks wrap after days.
        past = time.ticks_diff(now, self._slot_ms) // _SLOT_MS
        self._slot += past
        self._slot_ms = time.ticks_add(self._slot_ms, past * _SLOT_MS)
        for at in range(0, len(limits), ROW):
            gpio = limits[at]
            if not down_s:
                state[gpio] &= ~_LOST
            elif 0 < limits[at + _LINK_LOSS] <= down_s and not state[gpio] & _LOST:
                state[gpio] |= _LOST
                if state[gpio] & (_ON | _BACK):
                    self.force(at, 2)
            if state[gpio] & _WAIT and time.ticks_diff(limits[at + _UNTIL], now) <= 0:
                back = state[gpio] & _BACK
                state[gpio] &= ~(_WAIT | _BACK)
                if back:
                    try:
                        self.write(gpio, 1 - self.off(gpio))
                    except Refused as e:
                        told.append((gpio, e.args[0]))
            why = limits[at + _FLAGS] >> 8
            if why:
                limits[at + _FLAGS] &= 255
                told.append((gpio, "pin %d %s" % (gpio, _WHY[why])))
            if limits[at + _FLAGS] & _LAST:
                # What waits to come back is on as far as flash is concerned; what a driver has
                # on is not: a lamp at 20 % must not come back at 100, a servo not as a level.
                on = state[gpio] & (_ON | _OUT | _BACK)
                kept = _KEPT if on & _BACK or on == _ON | _OUT else 0
                if state[gpio] & _KEPT != kept:
                    try:
                        self.store.set("o:%d" % gpio, 1 if kept else 0)
                        state[gpio] ^= _KEPT
                    except Exception:
                        pass  # a full flash must keep nothing from being switched
        return told

    def safe(self):
        """Every output that has a safe level goes there, and what else has a limit goes off."""
        for at in range(0, len(self.limits), ROW):
            if self.limits[at + _FLAGS] & _SAFE or self.state[self.limits[at]] & _ON:
                self.force(at, 3)
