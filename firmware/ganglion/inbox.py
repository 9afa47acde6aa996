"""May this command run? Ids, boot and expiry: the five rules of docs/protocol.md.

An id is remembered until its expiry has passed, so a double cannot outlive its memory. The
table holds 8 bytes of SHA-256 and 4 of expiry an entry: 1.5 KiB for 128.
"""

import hashlib
import struct

MAX_IDS = 128
MAX_RESULTS = 8
MAX_RESULT_BYTES = 3072
MAX_AHEAD_S = 300

_ENTRY = 12
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


class Inbox:
    def __init__(self, boot):
        self.boot = boot
        self._table = bytearray(MAX_IDS * _ENTRY)
        self._running = []
        self._results = []  # (id, topic leaf, payload), oldest first
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
        if exp > now + MAX_AHEAD_S:
            return "bad_message", "exp is more than %d s ahead" % MAX_AHEAD_S
        key = hashlib.sha256(cid.encode()).digest()[:8]
        table = self._table
        free = -1
        for at in range(0, len(table), _ENTRY):
            until = struct.unpack_from(">I", table, at + 8)[0]
            if until <= now:
                free = at
            elif table[at : at + 8] == key:
                return self._seen(cid)
        if free < 0:
            return "busy", "%d commands are still alive; try again in some seconds" % MAX_IDS
        table[free : free + 8] = key
        struct.pack_into(">I", table, free + 8, exp)
        self._running.append(cid)
        return RUN, None

    def _seen(self, cid):
        if cid in self._running:
            return DROP, None
        for rid, leaf, payload in self._results:
            if rid == cid:
                return REPEAT, (leaf, payload)
        return "duplicate", "this ran before; its result is no longer kept"

    def finish(self, cid, leaf, payload):
        """Keep the result of a command that ran, for its doubles."""
        if cid not in self._running:
            return
        self._running.remove(cid)
        self._results.append((cid, leaf, payload))
        self._result_bytes += len(payload)
        while self._results and (
            len(self._results) > MAX_RESULTS or self._result_bytes > MAX_RESULT_BYTES
        ):
            self._result_bytes -= len(self._results.pop(0)[2])
