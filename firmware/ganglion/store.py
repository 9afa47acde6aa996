"""One append-only log on flash: key (str) to JSON value, safe against a power cut at any write.

A record is `length (u16) | CRC-32 (u32) | JSON [key, value]`, big-endian; a record without a
value deletes its key. LittleFS commits a file when it is closed, so an append is there whole
or not at all; the CRC is for what LittleFS cannot know: a block gone bad. At mount the log is
read once; from the first bad record on it is cut, by compaction. Compaction writes the live
records aside and renames: at every moment one whole log exists.

Values stay on flash; RAM holds a key and an offset for each.
"""

import binascii
import json
import os
import struct

from micropython import const

_HEAD = ">HI"
_HEAD_BYTES = const(6)
_MAX_RECORD_BYTES = const(1024)
_MAX_LOG_BYTES = const(65536)
# Below this a compaction saves less than it wears.
_COMPACT_FROM_BYTES = const(8192)


class StoreFull(Exception):
    """Flash, or the log's own bound, is full. The old record stands."""


class Store:
    def __init__(self, path="/store.log"):
        """Opens or creates the log. `cut` is True when a bad tail was dropped."""
        self.path = path
        self._aside = path + ".new"
        self._at = {}  # key -> offset of its record
        self._size = 0
        self._live = 0  # bytes of records that count
        self.writes = 0  # appends and compactions since boot
        self.cut = False
        self._bad_tail = False  # bytes behind the last good record still on flash
        self._mount()

    def _mount(self):
        try:
            os.remove(self._aside)  # a compaction the power cut short
        except OSError:
            pass
        try:
            f = open(self.path, "rb")
        except OSError:
            return
        with f:
            while True:
                body = self._record(f)
                if body is None:
                    break
                try:
                    item = json.loads(body)
                    key = item[0]
                except (ValueError, LookupError, TypeError):
                    self.cut = True
                    break
                self._note(key, len(item) > 1, self._size, len(body))
                self._size += _HEAD_BYTES + len(body)
            f.seek(0, 2)
            if f.tell() > self._size:
                self.cut = True
        if self.cut:
            self._bad_tail = True
            self._compact()

    def _record(self, f):
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

    def _note(self, key, alive, offset, n):
        old = self._at.pop(key, None)
        if old is not None:
            self._live -= old[1]
        if alive:
            self._at[key] = (offset, _HEAD_BYTES + n)
            self._live += _HEAD_BYTES + n

    def get(self, key, default=None):
        """The value as it stands on flash."""
        at = self._at.get(key)
        if at is None:
            return default
        with open(self.path, "rb") as f:
            f.seek(at[0])
            body = self._record(f)
        if body is None:
            return default
        return json.loads(body)[1]

    def set(self, key, value):
        """Returns when the record is on flash. Raises `StoreFull`; the old value then stands."""
        self._append(key, json.dumps([key, value]), True)

    def delete(self, key):
        """True if there was something to delete. Raises `StoreFull`."""
        if key not in self._at:
            return False
        self._append(key, json.dumps([key]), False)
        return True

    def keys(self, prefix):
        """Keys that begin with `prefix`, sorted, without it."""
        n = len(prefix)
        return sorted([key[n:] for key in self._at if key.startswith(prefix)])

    def count(self, prefix):
        n = 0
        for key in self._at:
            if key.startswith(prefix):
                n += 1
        return n

    def _append(self, key, text, alive):
        body = text.encode()
        if len(body) > _MAX_RECORD_BYTES:
            raise StoreFull("a record may have %d bytes" % _MAX_RECORD_BYTES)
        if self._bad_tail and not self._compact():
            raise StoreFull("flash is full")  # behind a bad record nothing would be found again
        n = _HEAD_BYTES + len(body)
        garbage = self._size - self._live
        if self._size + n > _MAX_LOG_BYTES or (
            self._size > _COMPACT_FROM_BYTES and garbage > self._live
        ):
            self._compact()
            if self._size + n > _MAX_LOG_BYTES:
                raise StoreFull("the log may have %d bytes" % _MAX_LOG_BYTES)
        record = struct.pack(_HEAD, len(body), binascii.crc32(body)) + body
        try:
            self._write(record)
        except OSError:
            # ENOSPC: what was deleted may make room. If not, the old log is untouched.
            if self._size == self._live or not self._compact():
                raise StoreFull("flash is full") from None
            try:
                self._write(record)
            except OSError:
                raise StoreFull("flash is full") from None
        self._note(key, alive, self._size, len(body))
        self._size += n

    def _write(self, record):
        with open(self.path, "ab") as f:
            f.write(record)
        self.writes += 1

    def _compact(self):
        """Live records only, aside, then renamed. False when flash has no room for it."""
        at = {}
        size = 0
        try:
            with open(self._aside, "wb") as out:
                if self._at:
                    with open(self.path, "rb") as f:
                        for key, (offset, n) in self._at.items():
                            f.seek(offset)
                            out.write(f.read(n))
                            at[key] = (size, n)
                            size += n
            os.rename(self._aside, self.path)
        except OSError:
            try:
                os.remove(self._aside)
            except OSError:
                pass
            return False
        self._at = at
        self._bad_tail = False
        self._size = self._live = size
        self.writes += 1
        return True
