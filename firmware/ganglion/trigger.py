"""Events that others tell this device, on gn/<device>/down/event/<name> and gn/all/…: what one
says, whether it is new, and the rules that wait for it. Loaded by rules.py, then dropped.

A payload is a number, a text, or a JSON object with `value`, and an `id` or an `exp` for whoever
wants more certainty. Nothing of it goes further than a comparison: what a rule runs was written
when the rule was set.
"""

import binascii
import json
import struct

from micropython import const

from . import clock

_MAX_BYTES = const(512)
_MAX_SEEN_BYTES = const(128)  # 32 of 4 bytes: 16 events with an id, 32 without
_MAX_ID = const(64)
_LEVELS = {"on": 1, "true": 1, "open": 1, "off": 0, "false": 0, "closed": 0}


class _Bad(Exception):
    """`args` are a code of docs/protocol.md and a sentence."""


def take(rules, rows, now, name, view, pid, again):
    """An event at `now` in ticks; `rows` are those of rules that may wait for it."""
    try:
        _take(rules, rows, now, name, view, pid, again)
    except _Bad as e:
        rules.event("bad_message", {"on": "event/" + name, "code": e.args[0], "msg": e.args[1]})


def _take(rules, rows, now, name, view, pid, again):
    wanted = []
    for i in rows:
        by, record = rules.row(i)
        if record and record.get("event") == name:
            wanted.append((i, by, record))
    if not wanted:
        return  # a name with the same mark
    value, text, eid, exp = _read(view)
    if _seen(rules, name, pid, again, eid):
        return
    if exp is not None:
        unix = clock.now()
        if unix is None:
            raise _Bad("no_clock", "I do not know the time, so I cannot tell how old this is")
        if exp <= unix:
            raise _Bad("expired", "this came %d s too late" % (unix - exp))
    for i, by, record in wanted:
        kind = record["is"]
        reading = value
        if kind in ("arrives", "silent"):
            reading = 1
        elif "text" in record:
            reading = 1 if text.lower() == record["text"] else 0
        elif value is None and kind == "changes":
            reading = binascii.crc32(text.encode()) & 0xFFFFFF  # what a 32-bit float holds
        elif value is None:
            msg = "there is no number in it, and rule %s wants one" % by
            rules.event("bad_message", {"on": "event/" + name, "code": "bad_message", "msg": msg})
            continue
        rules.look(i, now, reading)


def _read(view):
    """`(number or None, text, id or None, expiry or None)` of a payload. Raises _Bad."""
    if view is None or len(view) > _MAX_BYTES:
        raise _Bad("too_big", "an event has %d bytes at most" % _MAX_BYTES)
    try:
        text = str(view, "utf-8")
    except UnicodeError:
        raise _Bad("bad_utf8", "not UTF-8") from None
    eid = exp = None
    try:
        msg = json.loads(text)
    except (ValueError, RuntimeError, MemoryError):
        msg = text.strip()
    if isinstance(msg, dict):
        eid = msg.get("id")
        exp = msg.get("exp")
        msg = msg.get("value")
        if eid is not None and (type(eid) not in (int, str) or len(str(eid)) > _MAX_ID):
            raise _Bad("bad_message", "id must be text or a whole number, of 64 characters at most")
        if exp is not None and type(exp) is not int:
            raise _Bad("bad_message", "exp must be whole Unix seconds")
    if isinstance(msg, bool):
        msg = "true" if msg else "false"
    text = str(msg) if isinstance(msg, (str, int, float)) else ""
    value = msg
    if isinstance(msg, str):
        value = _LEVELS.get(msg.lower())
        if value is None:
            value = msg
    try:
        value = None if isinstance(value, (list, dict)) or value is None else float(value)
    except (ValueError, OverflowError):
        value = None
    if value is not None and not -1e9 <= value <= 1e9:
        raise _Bad("bad_message", "%s is no number that can be compared" % text[:20])
    return value, text, eid, exp


def _seen(rules, name, pid, again, eid):
    """Has this come before, as far as can be known? From here on it has."""
    held = rules.held
    marks = []
    if pid:
        marks.append(pid)
    if eid is not None:
        marks.append(binascii.crc32(("%s/%s" % (name, eid)).encode()) | 0x80000000)
    seen = False
    for mark in marks:
        data = struct.pack(">I", mark)
        at = 0
        while at < len(held) and held[at : at + 4] != data:
            at += 4
        if at < len(held):
            # A packet id comes round again; only with DUP is it the same message.
            if mark > 65535 or again:
                seen = True
            continue
        held.extend(data)
    if len(held) > _MAX_SEEN_BYTES:
        rules.held = held[len(held) - _MAX_SEEN_BYTES :]
    return seen
