"""The last events and faults, a line each: `log` on the console, and why boots failed.

They are in RTC memory, behind the four bytes of main.py: that costs neither heap nor flash, and
outlives resets and the watchdog, which is when they are wanted. Without power they are gone. One
text is there once, at its last time: what happens every second must not push out what matters.
"""

import machine
from micropython import const

_HEAD = const(4)  # "GNG", failed boots
_MAX_BYTES = const(720)
_MAX_TEXT = const(96)
_FIELDS = ("by", "routine", "on", "tool", "pin", "reset", "end", "code", "text", "msg")


def note(boot, up_s, event):
    """`event` is one of docs/protocol.md, or has `kind` and `msg`."""
    words = [event["kind"]]
    for field in _FIELDS:
        if field in event:
            words.append(str(event[field]))
    receipt = event.get("receipt")
    if receipt is not None:
        words.append("failed: %s" % receipt["msg"] if "err" in receipt else "ok")
    text = " ".join(" ".join(words).split())[:_MAX_TEXT].encode() + b"\n"
    mem = bytes(machine.RTC().memory())
    at = mem.find(b" " + text, _HEAD)
    if at > 0:
        begin = mem.rfind(b"\n", _HEAD, at) + 1 or _HEAD
        mem = mem[:begin] + mem[at + 1 + len(text) :]
    text = b"%d %d " % (boot, up_s) + text
    over = len(mem) + len(text) - _MAX_BYTES
    if over > 0:
        mem = mem[:_HEAD] + mem[mem.find(b"\n", _HEAD + over - 1) + 1 :]
    machine.RTC().memory(mem + text)


def lines():
    """Oldest first."""
    at = _HEAD
    mem = bytes(machine.RTC().memory())
    while at < len(mem):
        end = mem.find(b"\n", at)
        if end < 0:
            end = len(mem)
        try:
            yield _shown(str(mem[at:end], "utf-8"))
        except UnicodeError:
            pass  # cut, or overwritten
        at = end + 1


def _shown(line):
    part = line.split(" ", 2)
    if len(part) < 3 or not (part[0].isdigit() and part[1].isdigit()):
        return line
    return "%s +%s %s" % (part[0], span(int(part[1])), part[2])


def span(seconds):
    """h:mm:ss"""
    return "%d:%02d:%02d" % (seconds // 3600, seconds // 60 % 60, seconds % 60)


def last(text):
    """How the newest line goes on that begins with `text`, with its time; None if there is none."""
    found = None
    for line in lines():
        at = line.find(" " + text)
        if at > 0 and line.find(" ", line.find(" ") + 1) == at:
            found = "%s (boot %s)" % (line[at + 1 + len(text) :], line[:at])
    return found
