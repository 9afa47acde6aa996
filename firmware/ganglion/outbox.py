"""Events on their way to the broker: in order, once, and on flash where they have to wait.

An event that the broker can have at once is never written to flash. It stays in the heap until
the broker has acknowledged it, and goes to flash only when the session ends before. Without a
session events go to flash at once (outbox_flash.py), 16 of them; the oldest gives way, and the
next event that is delivered says how many did. What is on flash is removed when the broker has
it: power that fails between the two brings an event twice, with the same `boot` and `n`.
"""

from micropython import const

from . import lazy
from .talk import dumps

_MAX_FLYING = const(4)
_MAX_HELD = const(12)
_MAX_BYTES = const(900)  # a record of the store has 1024
# A rule gone wild must not wear flash out: 16 writes at once, then one a minute.
_MAX_WRITES = const(16)
_WRITE_EVERY_S = const(60)


class Outbox:
    """What is public but not a method is for outbox_flash.py."""

    note = None  # start.py puts the log's here: it has each event first

    def __init__(self, store, link):
        self.store = store
        self.dropped = 0  # not told yet
        self.held = []  # events in the heap, oldest first
        self.flying = []  # [packet id, place on flash or -1, event while it is not on flash]
        self.stored = []  # places on flash, oldest first
        self.sent = 0  # so many of them are flying: the first ones
        self.writes = _MAX_WRITES
        self._s = 0
        self._link = link
        if store.count("e:"):
            self._flash("load")
        link.on_ack = self._acked

    def _flash(self, what, *args):
        try:
            return getattr(lazy.load("outbox_flash"), what)(self, *args)
        finally:
            lazy.drop("outbox_flash")

    def add(self, event):
        """`event` is a dict with `kind`, `boot` and `n`, which is the outbox's from here on."""
        if self.note:
            self.note(event)
        if len(dumps(event).encode()) > _MAX_BYTES:
            event = {"kind": event["kind"], "boot": event["boot"], "n": event["n"], "cut": True}
        self.held.append(event)
        self.pump()
        if len(self.held) > _MAX_HELD:
            self.held.pop(0)
            self.dropped += 1

    def tick(self):
        """Once a second."""
        self._s += 1
        if self._s >= _WRITE_EVERY_S:
            self._s = 0
            self.writes = min(self.writes + 1, _MAX_WRITES)
        self.pump()

    def pump(self):
        """Send what can be sent; what cannot goes to flash."""
        if not self._link.connected:
            if self.writes and (self.held or self.flying):
                self._flash("keep")
            return
        while len(self.flying) < _MAX_FLYING and self._link.room():
            if self.sent < len(self.stored):
                if not self._flash("read", self._send):
                    return
            elif not self.held or not self._send(self.held[0], -1):
                return
            else:
                self.held.pop(0)

    def _send(self, event, at):
        if self.dropped:
            event["dropped"] = self.dropped
        pid = self._link.publish("event", dumps(event))
        if not pid:
            return False
        self.dropped = 0
        self.flying.append([pid, at, event if at < 0 else None])
        return True

    def _acked(self, pid):
        """The broker has it."""
        for entry in self.flying:
            if entry[0] == pid:
                self.flying.remove(entry)
                if entry[1] >= 0:
                    self.sent -= 1
                    self._flash("forget", entry[1])
                break
        self.pump()
