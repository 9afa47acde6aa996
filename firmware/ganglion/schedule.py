"""Schedules: what is due when. A table of next times in RAM, everything else on flash; plan.py
knows the times.

A schedule is the record `s:<name>`:

    {"when": rule of when.py, "text": as said, "do": [tool, args], "miss": policy, "late": minutes,
     "until": Unix seconds or 0, "left": runs left or -1, "off": 1 when paused, "last": see below}

`miss` says what becomes of a run that was due while the board was off or did not know the time:
`skip` (nothing), `late` (run once, if not more than `late` minutes have passed), `expire` (an
event says that it was missed). Only the last two need to know what has run, so only they write
`last`, the due time that was handled, at each run: before acting, since a power cut between the
two must not act twice.
"""

import asyncio
import binascii
import struct
import sys
import time

from micropython import const

from . import clock, lazy

_PREFIX = "s:"
_ROW = ">IIIB"  # CRC-32 of the name, due, due time of the last run (Unix seconds or 0), flags
_ROW_BYTES = const(13)
_BY_UPTIME = const(1)  # due is seconds of uptime, not Unix seconds
_LATE = const(2)
_NEVER = const(0xFFFFFFFF)
_JUMP_S = const(2)  # a clock that is set moves by more than it drifts in a second
_POLL_MS = const(10)
_LOOK_MS = const(250)


def _hash(name):
    return binascii.crc32(name.encode())


class Schedules:
    def __init__(self, store, run, event):
        """`run(tool, args)` returns a receipt; `event(kind, fields)` tells people.

        `table`, and `up`, the seconds of uptime, are for plan.py, which fills in the rows.
        """
        self.beat = 0
        self.store = store
        self._run = run
        self.event = event
        self.table = bytearray()
        self._stale = True
        self._problem = ""
        self.up = 0
        self._ticks = time.ticks_ms()
        self._unix = None  # what the clock said at _uptime_s

    def changed(self, name=None):
        """The schedule `name`, or else the zone or the place, has changed: plan anew."""
        for i in range(0, len(self.table), _ROW_BYTES):
            if name is not None and struct.unpack_from(">I", self.table, i)[0] == _hash(name):
                # Its count of seconds and its last run are those of another schedule, and until
                # it is planned, which may have to wait for memory, it is not due.
                struct.pack_into(">IIB", self.table, i + 4, _NEVER, 0, 0)
        self._stale = True

    def due(self, name):
        """When it runs next: Unix seconds, or None (paused, never, or not known)."""
        if self._stale:
            self._plan()
        for i in range(0, len(self.table), _ROW_BYTES):
            key, due, _, flags = struct.unpack_from(_ROW, self.table, i)
            if key == _hash(name) and due != _NEVER:
                if not flags & _BY_UPTIME:
                    return due
                now = clock.now()
                return None if now is None else now + due - self.up
        return None

    async def loop(self):
        """For ever: run what is due, sleep until the next."""
        while True:
            self.beat += 1
            try:
                wait_ms = self._turn()
            except Exception as e:
                self._failed(e)
                wait_ms = 1000
            # Short enough that a change is seen at once, as people count.
            await asyncio.sleep_ms(wait_ms)

    def _turn(self):
        """Run what is due now; returns milliseconds until it is worth looking again."""
        self.count()
        now = clock.now()
        expected = None if self._unix is None else self._unix[0] + self.up - self._unix[1]
        if now is not None and (expected is None or abs(now - expected) > _JUMP_S):
            self._stale = True
        if now is not None:
            self._unix = (now, self.up)
        if self._stale:
            try:
                self._plan()
            except MemoryError as e:
                # What was planned before still runs; this is tried again.
                self._failed(e)
        # First all that is due, then the planning, which takes longer.
        fired = []
        table = self.table
        for i in range(0, len(table), _ROW_BYTES):
            key, due, ran, flags = struct.unpack_from(_ROW, table, i)
            by_uptime = flags & _BY_UPTIME
            at = self.up if by_uptime else now
            if due != _NEVER and at is not None and at >= due:
                name = self._name(key)
                record = name and self.store.get(_PREFIX + name)
                if not record:
                    continue
                every = record["left"] != 1 and record["when"][1]
                try:
                    self._fire(name, record, due, flags)
                except Exception as e:
                    # One entry must not end the others.
                    self._failed(e, False)
                # Whatever fails from here on, it does not run twice. A count of seconds needs no
                # calendar; one that a busy board missed is not caught up with.
                following = _NEVER
                if not by_uptime:
                    ran = due
                    fired.append((i, name, due))
                elif every:
                    following = (due if due + every > self.up else self.up) + every
                struct.pack_into(">II", table, i + 4, following, ran)
        if self.table is not table:
            self._stale = True  # an action of theirs planned anew
        else:
            for i, name, due in fired:
                self._plan(i, name, due)
        return self._sleep_ms(clock.now())

    def _failed(self, e, again=True):
        # What is tried again at once is said once, for as long as it lasts.
        if not again or repr(e) != self._problem:
            self._problem = again and repr(e)
            sys.print_exception(e)
            self.event("error", {"on": "schedule", "msg": repr(e)})

    def count(self):
        """Bring `up` up to date."""
        past = time.ticks_diff(time.ticks_ms(), self._ticks) // 1000
        if past > 0:
            self.up += past
            self._ticks = time.ticks_add(self._ticks, past * 1000)

    def _sleep_ms(self, now):
        soonest = _NEVER
        for i in range(0, len(self.table), _ROW_BYTES):
            _, due, _, flags = struct.unpack_from(_ROW, self.table, i)
            at = self.up if flags & _BY_UPTIME else now
            if due != _NEVER and at is not None:
                soonest = min(soonest, max(due - at, 0))
        # The clock shows whole seconds, so the last one is polled.
        return _LOOK_MS if soonest > 1 else _POLL_MS

    def _plan(self, i=None, name=None, due=None):
        """Compute every row anew, or row `i` of `name`, which has run for the time `due`."""
        stale = self._stale
        self._stale = True  # until it is done: there may be no memory for it now
        try:
            lazy.load("plan").plan(self, clock.now(), i, name, due)
            self._stale = stale and name is not None
        finally:
            lazy.drop("plan", "when", "tz", "civil")

    def _name(self, key):
        for name in self.store.keys(_PREFIX):
            if _hash(name) == key:
                return name
        return None

    # ---- running

    def _fire(self, name, record, due, flags):
        if record["left"] > 0:
            record["left"] -= 1
        if record["when"][0] == "once" or record["left"] == 0:
            self.store.delete(_PREFIX + name)
        elif record["left"] > 0 or record["miss"] != "skip":
            record["last"] = due
            self.store.set(_PREFIX + name, record)
        tool, args = record["do"]
        receipt = self._run(tool, args)
        fields = {"by": name, "tool": tool, "receipt": receipt}
        if flags & _LATE:
            fields["due"] = due
        self.event("fired", fields)


def make(kit):
    return Schedules(kit.store, kit.agent.act, kit.agent.event)
