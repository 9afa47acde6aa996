"""May this command run? Ids, boot and expiry: the rules of docs/protocol.md.

An id is `<source>` or `<source>-<n>`, `n` in base 36 and growing. For each source the table holds
the highest `n` seen and which of the 32 below it were seen (the window of RFC 4303, section
3.4.3), until the last expiry of that source has passed; so a double cannot outlive its memory,
and a busy requester takes one entry, not one a command. 64 entries of 16 bytes at most, 4 at
first: a house has few requesters.
"""

import binascii
import struct

from micropython import const

MAX_SOURCES = 64
_MAX_RESULTS = const(4)
_MAX_RESULT_BYTES = const(1280)
_MAX_AHEAD_S = const(300)

# CRC-32 of the source, last expiry, highest n, window: bit i stands for n - i. Two sources alike
# in their CRC would have a command of theirs refused as a double; none could act twice.
_ENTRY = ">IIII"
_ENTRY_BYTES = const(16)
_FIRST_SOURCES = const(4)
_MAX_N = const(0xFFFFFFFF)
_WINDOW = const(32)
_ID_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

# What `admit` says besides a refusal.
RUN = "run"
REPEAT = "repeat"
DROP = "drop"


def good_id(value):
    if not isinstance(value, str) or not 1 <= len(value) <= 16:
        return False
    for c in value:
        if c not in _ID_CHARS:
            return False
    return True


def _split(cid):
    """`(source, n)` of an id; what has no number is a source of its own, with n = 0."""
    source, dash, n = cid.rpartition("-")
    if dash and source and n:
        try:
            n = int(n, 36)
            if 0 <= n <= _MAX_N:
                return source, n
        except ValueError:
            pass
    return cid, 0


class Inbox:
    def __init__(self, boot):
        self.boot = boot
        self._table = bytearray(_FIRST_SOURCES * _ENTRY_BYTES)
        self.running = []  # ids of the commands that run or wait
        self.results = []  # (id, topic leaf, payload), oldest first
        self._result_bytes = 0

    def admit(self, msg, now):
        """`(RUN, None)`, `(REPEAT, (leaf, payload))`, `(DROP, None)` or `(code, text)`.

        `now` is Unix seconds or None. An admitted id is remembered from here on; its command
        must be ended by `finish`.
        """
        boot = msg.get("boot")
        exp = msg.get("exp")
        cid = msg.get("id")
        if type(boot) is not int or type(exp) is not int:
            return "bad_message", "boot and exp must be whole numbers"
        if boot != self.boot:
            return "stale_boot", "this was meant for boot %d, it is boot %d now" % (
                boot,
                self.boot,
            )
        if now is None:
            return "no_clock", "I do not know the time, so I cannot tell how old this is"
        if exp <= now:
            return "expired", "this came %d s too late" % (now - exp)
        if exp > now + _MAX_AHEAD_S:
            return "bad_message", "exp is more than %d s ahead" % _MAX_AHEAD_S
        source, n = _split(cid)
        key = binascii.crc32(source.encode())
        table = self._table
        at = -1
        for i in range(0, len(table), _ENTRY_BYTES):
            old, until, high, window = struct.unpack_from(_ENTRY, table, i)
            if until <= now:
                at = i  # free
            elif old == key:
                at = i
                break
        else:
            if at < 0:
                at = len(table)
                if at == MAX_SOURCES * _ENTRY_BYTES:
                    return "busy", "%d requesters are alive; try again in a minute" % MAX_SOURCES
                table = self._table = table + bytes(at)  # twice as long
            high = n
            window = until = 0
        if n > high:
            window = window << (n - high) & 0xFFFFFFFF if n - high < _WINDOW else 0
            high = n
        elif high - n >= _WINDOW or window >> (high - n) & 1:
            return self._seen(cid)
        struct.pack_into(_ENTRY, table, at, key, max(until, exp), high, window | 1 << (high - n))
        self.running.append(cid)
        return RUN, None

    def _seen(self, cid):
        if cid in self.running:
            return DROP, None
        for rid, leaf, payload in self.results:
            if rid == cid:
                return REPEAT, (leaf, payload)
        return "duplicate", "this ran before; its result is no longer kept"

    def finish(self, cid, leaf, payload):
        """Keep the result of a command that ran, for its doubles. `payload` is a list of str."""
        if cid not in self.running:
            return
        self.running.remove(cid)
        self.results.append((cid, leaf, payload))
        self._result_bytes += _chars(payload)
        while self.results and (
            len(self.results) > _MAX_RESULTS or self._result_bytes > _MAX_RESULT_BYTES
        ):
            self._result_bytes -= _chars(self.results.pop(0)[2])


def _chars(payload):
    n = 0
    for part in payload:
        n += len(part)
    return n
