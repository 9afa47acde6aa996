"""Schedules: what is due when. A table of next times in RAM, everything else on flash.

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
_BACK_S = const(7200)  # a clock that goes back by more than this was wrong before
_POLL_MS = const(10)


def _hash(name):
    return binascii.crc32(name.encode())


class Schedules:
    def __init__(self, store, run, event):
        """`run(tool, args)` returns a receipt; `event(kind, fields)` tells people."""
        self.beat = 0
        self._store = store
        self._run = run
        self._event = event
        self._table = bytearray()
        self._stale = True
        self._uptime_s = 0
        self._ticks = time.ticks_ms()
        self._unix = None  # what the clock said at _uptime_s
        self._work = asyncio.Event()

    def changed(self, name=None):
        """The schedule `name`, or else the zone or the place, has changed: plan anew."""
        for i in range(0, len(self._table), _ROW_BYTES):
            if name is not None and struct.unpack_from(">I", self._table, i)[0] == _hash(name):
                # Its count of seconds and its last run are those of another schedule.
                self._table[i + 4 : i + _ROW_BYTES] = bytes(_ROW_BYTES - 4)
        self._stale = True
        self._work.set()

    def due(self, name):
        """When it runs next: Unix seconds, or None (paused, never, or not known)."""
        if self._stale:
            self._plan(clock.now())
        for i in range(0, len(self._table), _ROW_BYTES):
            key, due, _, flags = struct.unpack_from(_ROW, self._table, i)
            if key == _hash(name) and due != _NEVER:
                if not flags & _BY_UPTIME:
                    return due
                now = clock.now()
                return None if now is None else now + due - self._uptime_s
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
            self._work.clear()
            try:
                await asyncio.wait_for_ms(self._work.wait(), wait_ms)
            except asyncio.TimeoutError:
                pass

    def _turn(self):
        """Run what is due now; returns milliseconds until it is worth looking again."""
        self._count()
        now = clock.now()
        expected = None if self._unix is None else self._unix[0] + self._uptime_s - self._unix[1]
        if now is not None and (expected is None or abs(now - expected) > _JUMP_S):
            self._stale = True
        if now is not None:
            self._unix = (now, self._uptime_s)
        if self._stale:
            self._plan(now)
        # First all that is due, then the planning, which takes longer.
        fired = []
        for i in range(0, len(self._table), _ROW_BYTES):
            key, due, _, flags = struct.unpack_from(_ROW, self._table, i)
            at = self._uptime_s if flags & _BY_UPTIME else now
            if due != _NEVER and at is not None and at >= due:
                name = self._name(key)
                if name is None:
                    continue
                try:
                    self._fire(name, due, flags)
                except Exception as e:
                    # One entry must not end the others.
                    self._failed(e)
                fired.append((i, name, due, flags))
        for i, name, due, flags in fired:
            ran = 0 if flags & _BY_UPTIME else due
            record = self._store.get(_PREFIX + name)
            self._row(self._table, i, name, record, now, due, ran)
        return self._sleep_ms(clock.now())

    def _failed(self, e):
        sys.print_exception(e)
        self._event("error", {"on": "schedule", "msg": repr(e)})

    def _count(self):
        past = time.ticks_diff(time.ticks_ms(), self._ticks) // 1000
        if past > 0:
            self._uptime_s += past
            self._ticks = time.ticks_add(self._ticks, past * 1000)

    def _sleep_ms(self, now):
        soonest = _NEVER
        for i in range(0, len(self._table), _ROW_BYTES):
            _, due, _, flags = struct.unpack_from(_ROW, self._table, i)
            at = self._uptime_s if flags & _BY_UPTIME else now
            if due != _NEVER and at is not None:
                soonest = min(soonest, max(due - at, 0))
        # The clock shows whole seconds, so the last one is polled.
        return 1000 if soonest > 2 else 500 if soonest == 2 else _POLL_MS

    # ---- planning

    def _plan(self, now):
        """Compute every row anew."""
        self._count()
        old = self._table
        names = self._store.keys(_PREFIX)
        table = bytearray(len(names) * _ROW_BYTES)
        for n in range(len(names)):
            name = names[n]
            due = ran = flags = 0
            for i in range(0, len(old), _ROW_BYTES):
                if struct.unpack_from(">I", old, i)[0] == _hash(name):
                    _, due, ran, flags = struct.unpack_from(_ROW, old, i)
            i = n * _ROW_BYTES
            if flags & _BY_UPTIME and due != _NEVER:
                # It counts seconds, whatever the clock does.
                struct.pack_into(_ROW, table, i, _hash(name), due, ran, flags)
            else:
                self._row(table, i, name, self._store.get(_PREFIX + name), now, None, ran)
        # Where there was no memory for it the old table stands, and the next turn tries again.
        self._table = table
        self._stale = False

    def _name(self, key):
        for name in self._store.keys(_PREFIX):
            if _hash(name) == key:
                return name
        return None

    def _row(self, table, i, name, record, now, due_before, ran):
        """Put the next time of a schedule into its row of `table`. `due_before` is the time for
        which it has just run, None when it has not; `ran` that of its last run, in Unix seconds."""
        due, flags = _NEVER, 0
        if record is not None and not record.get("off"):
            rule = record["when"]
            if rule[0] == "every" and rule[2] is None:
                due, flags = (due_before or self._uptime_s) + rule[1], _BY_UPTIME
                if due <= self._uptime_s:  # a board that was busy does not catch up
                    due = self._uptime_s + rule[1]
            elif now is not None:
                # A clock that is set back must not make it run twice.
                after = max(now, ran) if ran - now < _BACK_S else now
                due, flags = self._by_clock(name, record, now, after, due_before is None)
        struct.pack_into(_ROW, table, i, _hash(name), due, ran, flags)

    def _by_clock(self, name, record, now, after, planning):
        rule = record["when"]
        when = lazy.load("when")
        try:
            zone, place = when.settings(self._store)
            if planning and record["miss"] != "skip":
                missed = when.following(rule, zone, place, record["last"])
                if missed is not None and missed <= now:
                    window = max(record["last"], now - record["late"] * 60 - 1)
                    recent = when.following(rule, zone, place, window)
                    if record["miss"] == "late" and recent is not None and recent <= now:
                        return recent, _LATE
                    self._event("missed", {"by": name, "due": missed})
                    self._write(name, record, now)
            due = when.following(rule, zone, place, after)
        finally:
            lazy.drop("when")
            lazy.drop("tz", "civil")
        if due is None and rule[0] == "once":
            if planning and record["miss"] == "skip":
                self._event("missed", {"by": name, "due": rule[1]})
            self._end(name, None)
        elif due is not None and record["until"] and due > record["until"]:
            self._end(name, "expired")
            due = None
        return (_NEVER if due is None else due), 0

    def _end(self, name, why):
        self._store.delete(_PREFIX + name)
        if why:
            self._event(why, {"by": name})

    def _write(self, name, record, last):
        record["last"] = last
        self._store.set(_PREFIX + name, record)

    # ---- running

    def _fire(self, name, due, flags):
        record = self._store.get(_PREFIX + name)
        if record is None:
            return
        if record["left"] > 0:
            record["left"] -= 1
        once = record["when"][0] == "once"
        if once or record["left"] == 0:
            self._store.delete(_PREFIX + name)
        elif record["left"] > 0 or record["miss"] != "skip":
            self._write(name, record, due)
        tool, args = record["do"]
        receipt = self._run(tool, args)
        fields = {"by": name, "tool": tool, "receipt": receipt}
        if flags & _LATE:
            fields["due"] = due
        self._event("fired", fields)


def make(kit):
    return Schedules(kit.store, kit.agent.act, kit.agent.event)
