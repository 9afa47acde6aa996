"""Rules: when a reading crosses a level, for a time, or an event arrives, run a tool.

A rule is the record `r:<name>`:

    {"read": pin or point, or "sensor": [tool, args, field], or "event": name, "is": condition,
     "value", "to", "hyst", "text", "for": seconds, "cool": seconds, "hours": [from, to] in minutes
     of the local day or absent, "do": [tool, args], "off": 1 when paused}

What is read often stands in a table in RAM, a row a rule; the action is read from flash when it
is wanted. Levels of pins are looked at every 5 ms, an ADC once a second, and other sensors, which
may block for most of a second, every 10 s. What an event says (trigger.py) is looked at when it
comes, and stands until the next.

A condition (`above`, `below`, `between`, `on`, `off`) fires once when it has held for `for`
seconds, and again only after it has not held. Hysteresis: what was above stays above until it is
below `value - hyst`. `changes` fires at each change of at least `hyst`. `silent` fires when a
sensor has given no reading for `value` seconds, `arrives` at each event. After a run, `cool`
seconds must pass.
"""

import asyncio
import binascii
import struct
import sys
import time

from micropython import const

from . import clock, lazy

_PREFIX = "r:"
_ON = const(0)
_OFF = const(1)
_CHANGES = const(2)
_ABOVE = const(3)
_BELOW = const(4)
_BETWEEN = const(5)
_SILENT = const(6)
_ARRIVES = const(7)
_CHANGED = const(255)

# As rows.py makes it: CRC-32 of the name, GPIO or what is below, condition, value, to, hysteresis,
# last reading; milliseconds of `for`; ticks since when it holds (or of the last reading); ticks of
# the last run; flags
_ROW = ">IBBffffIIIB"
_ROW_BYTES = const(35)
_AT_KIND = const(5)
_AT_READING = const(18)
_AT_SINCE = const(26)
_NO_PIN = const(255)
_EVENT = const(128)  # and above: an event, with seven bits of its name's hash

_HOLDS = const(1)  # the condition holds, and _SINCE says since when
_FIRED = const(2)  # and it has been acted on
_READ = const(4)  # there is a last reading
_RAN = const(8)
_SEEN = const(16)  # a sensor has answered since boot, or its time has begun
_RARE = const(32)  # a sensor that blocks for longer than an ADC

_FAST_MS = const(5)
_SLOW_MS = const(1000)
_RARE_EVERY = const(10)  # of the slow rounds
_COOL_MAX_MS = const(86400000)
# Events that rules wait for: 16 at once, then 4 a second. Each is some reads of flash.
_MAX_EVENTS = const(16)
_EVENTS_EVERY_S = const(4)


def _hash(name):
    return binascii.crc32(name.encode())


def mark(event):
    """What stands for an event in a row."""
    return _EVENT + _hash(event) % (_NO_PIN - _EVENT)


class Rules:
    def __init__(self, points, store, resolve, level, sense, act, event):
        """`resolve(pin or point)` is the GPIO, or raises; `level(gpio)` reads a pad;
        `sense(tool, args)` and `act(tool, args)` return receipts; `event(kind, fields)` tells
        people. `points` has a `version`, by which a name that moves is seen."""
        self.beat = 0
        self._points = points
        self._version = points.version
        self._store = store
        self._level = level
        self._sense = sense
        self._act = act
        self.event = event
        self.resolve = resolve
        self._table = bytearray()
        self._stale = True
        self._problem = ""
        self._slow_ms = time.ticks_ms()
        self._round = 0
        self._fast = False
        self._left = _MAX_EVENTS
        self._lost = 0
        self.held = bytearray()  # for trigger.py: what tells events seen lately from new ones

    def changed(self, name):
        """The rule `name` has changed."""
        for i in range(0, len(self._table), _ROW_BYTES):
            if struct.unpack_from(">I", self._table, i)[0] == _hash(name):
                # Its past is that of another rule; until the table is made, it is none.
                self._table[i + _AT_KIND] = _CHANGED
        self._stale = True

    async def loop(self):
        """For ever."""
        while True:
            self.beat += 1
            try:
                self.turn()
            except Exception as e:
                self._failed(e, True)
            await asyncio.sleep_ms(_FAST_MS if self._fast else 200)

    def turn(self):
        """Look at everything that is to be looked at now."""
        now = time.ticks_ms()
        slow = time.ticks_diff(now, self._slow_ms) >= _SLOW_MS
        # What there was no memory for is tried again, once a second.
        if (slow or not self._problem) and (self._stale or self._version != self._points.version):
            self._load(now)
        if slow:
            self._slow_ms = now
            self._round += 1
            self._left = min(self._left + _EVENTS_EVERY_S, _MAX_EVENTS)
            if self._lost and self._left == _MAX_EVENTS:
                msg = "%d events came too fast and were dropped" % self._lost
                self.event("error", {"on": "event", "msg": msg})
                self._lost = 0
        for i in range(0, len(self._table), _ROW_BYTES):
            gpio = self._table[i + 4]
            if gpio < _EVENT:
                look = True
            else:
                rare = self._table[i + _ROW_BYTES - 1] & _RARE
                look = slow and not (rare and self._round % _RARE_EVERY)
            if look:
                try:
                    self.look(i, now)
                except Exception as e:
                    self._failed(e)

    def arrived(self, name, view, pid, again):
        """The event `name`, from the link; `view` is None when it was too big, `again` true when
        the broker marks it as sent before. Raises nothing."""
        now = time.ticks_ms()
        if self._stale:
            self._load(now)
        want = mark(name)
        rows = [i for i in range(0, len(self._table), _ROW_BYTES) if self._table[i + 4] == want]
        if not rows:
            return  # no rule waits for it
        if not self._left:
            self._lost += 1
            return
        self._left -= 1
        try:
            lazy.load("trigger").take(self, rows, now, name, view, pid, again)
        except Exception as e:
            self._failed(e)
        finally:
            lazy.drop("trigger")

    def _failed(self, e, again=False):
        # One rule must not end the others; what is tried again is said once.
        if not again or repr(e) != self._problem:
            sys.print_exception(e)
            self.event("error", {"on": "rule", "msg": repr(e)})
        if again:
            self._problem = repr(e)

    def _load(self, now):
        """The table from flash; where there is no memory for it now, the old one stands."""
        try:
            self._table, self._fast = lazy.load("rows").rows(self._store, self, self._table, now)
            self._version = self._points.version
            self._stale = False
            self._problem = ""
        except MemoryError as e:
            self._failed(e, True)
        finally:
            lazy.drop("rows")

    def look(self, i, now, reading=None):
        """Look at the rule of row `i`. `reading` is what an event has just said."""
        row = struct.unpack_from(_ROW, self._table, i)
        gpio, kind, value, to, hyst, last, for_ms, since, ran_ms, flags = row[1:]
        if kind == _CHANGED:
            return
        if flags & _RAN and time.ticks_diff(now, ran_ms) > _COOL_MAX_MS:
            flags &= ~_RAN  # before the ticks wrap
            self._table[i + _ROW_BYTES - 1] = flags
        if gpio < _EVENT:
            reading = self._level(gpio)
        elif gpio == _NO_PIN:
            reading = self._reading(row[0])
        elif reading is not None:
            if kind != _CHANGES:
                struct.pack_into(">f", self._table, i + _AT_READING, reading)
        elif flags & _HOLDS and not flags & _FIRED and kind < _SILENT and kind != _CHANGES:
            reading = last  # it stands, and may have to be acted on by now
        if kind == _SILENT:
            if reading is not None or not flags & _SEEN:
                since, flags = now, _SEEN | flags & (_RAN | _RARE)
            holds = time.ticks_diff(now, since) >= value * 1000
            for_ms = 0
        elif reading is None:
            return
        elif kind == _CHANGES:
            holds = bool(flags & _READ) and abs(reading - last) >= (hyst or 1e-9)
            if holds or not flags & _READ:
                struct.pack_into(">f", self._table, i + _AT_READING, reading)
            flags = flags & (_RAN | _RARE) | _READ
        elif kind == _ARRIVES:
            flags &= _RAN
            holds = True
        else:
            holds = _holds(kind, reading, value, to, hyst if flags & _HOLDS else 0)
        if not holds:
            if kind != _SILENT:
                flags &= _RAN | _RARE | _READ
        elif not flags & _HOLDS:
            flags |= _HOLDS
            if kind != _SILENT:
                since = now
        if flags & _HOLDS and not flags & _FIRED and time.ticks_diff(now, since) >= for_ms:
            ran = self._fire(row[0], time.ticks_diff(now, ran_ms) if flags & _RAN else None)
            if ran is not None:
                flags |= _FIRED
            if ran:
                ran_ms = now
                flags |= _RAN
        struct.pack_into(">IIB", self._table, i + _AT_SINCE, since & 0xFFFFFFFF, ran_ms, flags)

    def _reading(self, key):
        tool, args, field = self._record(key)[1]["sensor"]
        receipt = self._sense(tool, args)
        value = receipt.get(field)
        return None if "err" in receipt or type(value) not in (int, float) else value

    def row(self, i):
        """`(name, record)` of row `i`."""
        return self._record(struct.unpack_from(">I", self._table, i)[0])

    def _record(self, key):
        for name in self._store.keys(_PREFIX):
            if _hash(name) == key:
                return name, self._store.get(_PREFIX + name)
        raise ValueError("a rule is gone")

    def _fire(self, key, since_ms):
        """True: it ran. False: it is not to run this time. None: not now, maybe soon."""
        name, record = self._record(key)
        if since_ms is not None and since_ms < record.get("cool", 0) * 1000:
            return None
        hours = record.get("hours")
        if hours and not self._within(hours):
            return False
        receipt = self._act(*record["do"])
        self.event("fired", {"by": name, "tool": record["do"][0], "receipt": receipt})
        return True

    def _within(self, hours):
        """Is it now between two minutes of the local day? Never, while the time is not known."""
        now = clock.now()
        if now is None:
            return False
        try:
            tz = lazy.load("tz")
            h, m = tz.local(tz.parse(self._store.get("c:tz", "UTC0")), now)[3:5]
        finally:
            lazy.drop("tz", "civil")
        first, end = hours
        minute = h * 60 + m
        return first <= minute < end if first <= end else minute >= first or minute < end


def _holds(kind, reading, value, to, slack):
    if kind == _ON:
        return bool(reading)
    if kind == _OFF:
        return not reading
    if kind == _ABOVE:
        return reading > value - slack
    if kind == _BELOW:
        return reading < value + slack
    if kind == _BETWEEN:
        return value - slack <= reading <= to + slack
    return abs(reading - value) <= abs(value) * 1e-6  # equals: `value` has been a 32-bit float


def make(kit):
    agent = kit.agent
    rules = Rules(
        kit.points,
        kit.store,
        lambda ref: kit.resolve(ref)[0],
        kit.guard.read,
        agent.sense,
        agent.act,
        agent.event,
    )
    agent.link.on_event = rules.arrived
    return rules
