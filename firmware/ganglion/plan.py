"""The next time of each schedule, and what becomes of the runs that were missed. Loaded by
schedule.py when a row is to be computed.
"""

import binascii
import struct

from micropython import const

from . import lazy

_PREFIX = "s:"
_ROW = ">IIIB"  # as schedule.py has it
_ROW_BYTES = const(13)
_BY_UPTIME = const(1)
_LATE = const(2)
_NEVER = const(0xFFFFFFFF)
_BACK_S = const(7200)  # a clock that goes back by more than this was wrong before


def _hash(name):
    return binascii.crc32(name.encode())


def plan(engine, now, i, name, due):
    """Row `i` of `name`, which has just run for the time `due`; every row when `name` is None."""
    if name is not None:
        return _row(engine, engine.table, i, name, now, due, due)
    engine.count()
    old = engine.table
    names = engine.store.keys(_PREFIX)
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
            _row(engine, table, i, name, now, None, ran)
    engine.table = table


def _row(engine, table, i, name, now, due_before, ran):
    """Put the next time of a schedule into its row. `due_before` is the time for which it has
    just run, None when it has not; `ran` that of its last run, in Unix seconds."""
    record = engine.store.get(_PREFIX + name)
    due, flags = _NEVER, 0
    if record is not None and not record.get("off"):
        rule = record["when"]
        if rule[0] == "every" and rule[2] is None:
            due, flags = engine.up + rule[1], _BY_UPTIME
        elif now is not None:
            # A clock that is set back must not make it run twice.
            after = max(now, ran) if ran - now < _BACK_S else now
            due, flags = _by_clock(engine, name, record, now, after, due_before is None)
    struct.pack_into(_ROW, table, i, _hash(name), due, ran, flags)


def _by_clock(engine, name, record, now, after, planning):
    rule = record["when"]
    due = lazy.load("due")
    zone, place = due.settings(engine.store)
    if planning and record["miss"] != "skip":
        missed = due.following(rule, zone, place, record["last"])
        if missed is not None and missed <= now:
            window = max(record["last"], now - record["late"] * 60 - 1)
            recent = due.following(rule, zone, place, window)
            if record["miss"] == "late" and recent is not None and recent <= now:
                return recent, _LATE
            engine.event("missed", {"by": name, "due": missed})
            record["last"] = now
            engine.store.set(_PREFIX + name, record)
    due = due.following(rule, zone, place, after)
    if due is None and rule[0] == "once":
        if planning and record["miss"] == "skip":
            engine.event("missed", {"by": name, "due": rule[1]})
        engine.store.delete(_PREFIX + name)
    elif due is not None and record["until"] and due > record["until"]:
        engine.store.delete(_PREFIX + name)
        engine.event("expired", {"by": name})
        due = None
    return (_NEVER if due is None else due), 0
