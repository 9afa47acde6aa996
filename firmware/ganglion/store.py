"""One append-only log on flash: key (str) to JSON value, safe against a power cut at any write.

A key is a letter, a colon and a name. A record is `length (u16) | CRC-32 (u32) | JSON [key,
value]`, big-endian; a record without a value deletes its key. LittleFS commits a file when it is
closed, so an append is there whole or not at all; the CRC is for what LittleFS cannot know: a
block gone bad. Reading it at boot and compaction are in store_log.py.

Keys and values stay on flash. RAM holds a row of 9 bytes for each: the key's letter and 16 bits
of its hash, where the record is and how long. Whatever a row promises is read back before it is
believed, so two keys with one hash only cost a read.
"""

import binascii
import json
import struct

from micropython import const

from . import lazy

_HEAD = ">HI"
_HEAD_BYTES = const(6)
_MAX_RECORD_BYTES = const(1024)
MAX_KEYS = 320  # all bounds of docs/limits.md together, and some turns of what was said
# What lives may fill three quarters of the log: else, when nearly full, each write would compact.
MAX_LIVE_BYTES = 98304
_MAX_LOG_BYTES = const(131072)
# Below this a compaction saves less than it wears.
_COMPACT_FROM_BYTES = const(8192)

_MARK = ">BH"  # a row begins with letter and hash of the key,
_AT = ">IH"  # and goes on with offset and bytes of the record
_ROW_BYTES = const(9)
_GROW_BYTES = const(288)


class StoreFull(Exception):
    """Flash, or a bound of the store, is full. The old record stands."""


def _hash(head):
    return binascii.crc32(head) & 0xFFFF


def _head(key):
    """A key as its records begin, behind the bracket."""
    return json.dumps(key).encode()


def _mark(head):
    """Letter and hash of a key: the first bytes of its row."""
    return struct.pack(_MARK, head[1] if head[2:3] == b":" else 0, _hash(head))


def record(f):
    """The next record's JSON, or None at the end or where it is bad."""
    head = f.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES:
        return None
    n, crc = struct.unpack(_HEAD, head)
    if n > _MAX_RECORD_BYTES:
        return None
    body = f.read(n)
    if len(body) < n or binascii.crc32(body) != crc:
        return None
    return body


def write(f, body):
    """A record at the end of `f`."""
    f.write(struct.pack(_HEAD, len(body), binascii.crc32(body)))
    f.write(body)


class Store:
    """What is public but not under "what others call" is for store_log.py and facts.py."""

    def __init__(self, path="/store.log"):
        """Opens or creates the log. `cut` is True when a bad tail was dropped."""
        self.path = path
        self.writes = 0  # appends and compactions since boot
        self.facts = 0  # counts changes of what begins "m:", which companions keep a copy of
        self.cut = False
        self.rows = None
        self.end = 0  # bytes of rows in use
        self.size = 0  # bytes of log up to the last good record
        self.live = 0  # bytes of records that count
        self.bad_tail = False  # bytes behind the last good record still on flash
        self.unread = False  # the log is there and cannot be read
        self._log("load")

    def _log(self, what, *args):
        """`store_log.<what>(self)`: what runs at boot and now and then is not kept in the heap."""
        try:
            return getattr(lazy.load("store_log"), what)(self, *args)
        finally:
            lazy.drop("store_log")

    # ---- rows

    def row(self, at):
        """`(offset, bytes)` of the record whose row is at `at`."""
        return struct.unpack_from(_AT, self.rows, at + 3)

    def find(self, head, f=None):
        """Where the row of a key is, or -1. `f` is the log, opened here if it must be."""
        mark = _mark(head)
        at = -1
        while True:
            at = self.rows.find(mark, at + 1, self.end)
            if at < 0:
                return at
            if at % _ROW_BYTES:
                continue  # across two fields
            if f is None:
                with open(self.path, "rb") as f:
                    return self.find(head, f)
            f.seek(self.row(at)[0] + _HEAD_BYTES + 1)
            if f.read(len(head)) == head:
                return at

    def room(self):
        """For one more row; before the record is written, so that nothing can fail after it."""
        if self.end == len(self.rows):
            self.rows.extend(bytes(_GROW_BYTES))

    def note(self, at, head, alive, offset, n):
        """Row `at` (-1: none yet) now stands for the record at `offset`, or for none. With a
        `head` it becomes the last: the rows' order says what was written when."""
        rows = self.rows
        if at >= 0:
            self.live -= self.row(at)[1]
            if head or not alive:
                self.end -= _ROW_BYTES
                # A view, since a slice of the table would be a second one.
                view = memoryview(rows)
                view[at : self.end] = view[at + _ROW_BYTES : self.end + _ROW_BYTES]
                view = None  # a table with a view on it cannot grow
                at = -1
        if alive:
            if at < 0:
                at = self.end
                self.end += _ROW_BYTES
                rows[at : at + 3] = _mark(head)
            struct.pack_into(_AT, rows, at + 3, offset, n)
            self.live += n

    # ---- what others call

    def get(self, key, default=None):
        """The value as it stands on flash."""
        head = _head(key)
        if self.rows.find(_mark(head), 0, self.end) < 0:
            return default
        with open(self.path, "rb") as f:
            at = self.find(head, f)
            if at < 0:
                return default
            f.seek(self.row(at)[0])
            body = record(f)
        if body is None:
            return default
        return json.loads(body)[1]

    def set(self, key, value):
        """Returns when the record is on flash. Raises `StoreFull`; the old value then stands."""
        head = _head(key)
        body = json.dumps([key, value]).encode()
        if len(body) > _MAX_RECORD_BYTES:
            raise StoreFull("a record may have %d bytes" % _MAX_RECORD_BYTES)
        self._append(head, body, True)

    def delete(self, key):
        """True if there was something to delete. Raises `StoreFull`."""
        return self._append(_head(key), json.dumps([key]).encode(), False)

    def keys(self, prefix):
        """Keys that begin with `prefix`, sorted, without it."""
        found = [name for name, _ in self.items(prefix)]
        found.sort()
        return found

    def items(self, prefix, mark=None, places=None):
        """`(key without prefix, value)` of each, what was written last comes last; of those with
        this `mark` only, or of the rows at these `places`.

        Nothing may be set or deleted meanwhile.
        """
        n = len(prefix)
        rows = self.rows
        f = None
        try:
            for at in places or range(0, self.end, _ROW_BYTES):
                if (n < 2 or rows[at] == ord(prefix[0])) and (
                    mark is None or rows[at + 1] << 8 | rows[at + 2] == mark
                ):
                    if f is None:
                        f = open(self.path, "rb")
                    f.seek(self.row(at)[0])
                    body = record(f)
                    if body is not None:
                        body = json.loads(body)
                        if body[0].startswith(prefix):
                            yield body[0][n:], body[1]
        finally:
            if f is not None:
                f.close()

    def mark(self, key):
        """16 bits that stand for a key, for who remembers keys but not their text."""
        return _hash(_head(key))

    def count(self, prefix):
        """How many keys have this letter and colon."""
        letter = ord(prefix[0])
        n = 0
        for at in range(0, self.end, _ROW_BYTES):
            if self.rows[at] == letter:
                n += 1
        return n

    # ---- writing

    def _append(self, head, body, alive):
        n = _HEAD_BYTES + len(body)
        garbage = self.size - self.live
        if (
            self.unread
            or self.bad_tail
            or (garbage > self.live and self.size > _COMPACT_FROM_BYTES)
            or self.size + n > _MAX_LOG_BYTES
            or self.live + n > MAX_LIVE_BYTES
            or self.end >= MAX_KEYS * _ROW_BYTES
        ):
            self._log("make_room", n, head if alive else None)
        at = self.find(head)
        if at < 0 and not alive:
            return False
        self.room()
        if not self._written(body):
            self._log("recover", head)
            if not self._written(body):
                raise StoreFull("flash is full")
            at = self.find(head)
        self.note(at, head, alive, self.size, n)
        self.size += n
        self.facts += head[1:3] == b"m:"
        return True

    def _written(self, body):
        try:
            with open(self.path, "ab") as f:
                # What is longer has a record that a failed write left: nothing goes behind it.
                whole = f.seek(0, 2) == self.size
                if whole:
                    write(f, body)
            self.writes += whole
            return whole
        except OSError:
            return False
