"""The log as a whole: read at boot, cut behind its last good record, compacted now and then.

Compaction writes the live records aside and renames: at every moment one whole log exists.
"""

import errno
import os

from micropython import const

from .store import MAX_KEYS, MAX_LIVE_BYTES, StoreFull, record, write

_ASIDE = ".new"
_SAID = b"v:"  # keys of talk_flash.py
# As in store.py.
_HEAD_BYTES = const(6)
_ROW_BYTES = const(9)
_MAX_LOG_BYTES = const(131072)


def load(store):
    """Rows of what is on flash, a record at a time; from the first bad record on it is cut."""
    store.rows = bytearray()
    store.end = store.size = store.live = 0
    store.facts += 1
    store.bad_tail = store.unread = False
    _remove(store.path + _ASIDE)  # a compaction the power cut short
    try:
        with open(store.path, "rb") as f:
            while True:
                body = record(f)
                end = _head_end(body) if body else 0
                if not end:
                    break
                n = _HEAD_BYTES + len(body)
                head = body[1:end]
                alive = body[end : end + 1] == b","
                store.room()
                store.note(store.find(head, f), head, alive, store.size, n)
                store.size += n
                f.seek(store.size)
            store.bad_tail = f.seek(0, 2) > store.size
    except OSError as e:
        # A log that cannot be read is not an empty one: nothing may be put over it.
        store.unread = e.errno != errno.ENOENT
        return
    if store.bad_tail:
        store.cut = True
        compact(store)


def _head_end(body):
    """Where the key ends in a record's JSON; 0 where there is none."""
    end = 1
    while body[:2] == b'["':
        end = body.find(b'"', end + 1)
        at = end - 1
        while body[at] == 92:  # each pair of backslashes is one that was said
            at -= 1
        if end < 0 or (end - at) & 1:
            return end + 1
    return 0


def compact(store):
    """Live records only, aside, then renamed. False when flash has no room for it."""
    aside = store.path + _ASIDE
    try:
        with open(aside, "wb") as out:
            if store.end:
                with open(store.path, "rb") as f:
                    _copy(store, f, out)
        os.rename(aside, store.path)
    except OSError:
        _remove(aside)
        return False
    store.unread = True  # should this end half-way (no memory), the next write reads it anew
    store.size = 0
    for at in range(0, store.end, _ROW_BYTES):
        n = store.row(at)[1]
        store.note(at, None, True, store.size, n)
        store.size += n
    store.unread = store.bad_tail = False
    store.writes += 1
    return True


def make_room(store, n, head):
    """For `n` bytes, the record of the key in `head`, or a deletion when that is None, which is
    never refused for a bound: else what is full would be for ever. Raises `StoreFull`."""
    if store.unread:
        load(store)
    if head and (store.end >= MAX_KEYS * _ROW_BYTES or store.live + n > MAX_LIVE_BYTES):
        _give_way(store, head)
    if store.bad_tail:
        if not compact(store):
            # Behind a bad record nothing would be found again.
            raise StoreFull("flash is full")
    elif store.size > store.live and (
        store.size - store.live > store.live or store.size + n > _MAX_LOG_BYTES
    ):
        if not compact(store):
            recover(store)
    if store.unread:
        # Nor is it known then what there is to delete.
        raise StoreFull("flash cannot be read")
    if head is None:
        return
    at = store.find(head)
    if at < 0 and store.end >= MAX_KEYS * _ROW_BYTES:
        raise StoreFull("%d entries are kept already; delete one" % MAX_KEYS)
    gone = 0 if at < 0 else store.row(at)[1]
    if store.live - gone + n > MAX_LIVE_BYTES or store.size + n > _MAX_LOG_BYTES:
        raise StoreFull("%d bytes are kept already; delete some" % store.live)


def recover(store, head=None):
    """A write failed, which may have been done all the same: flash is what counts. And where it
    is full, what was deleted may make room, and what was only said (the key in `head` is none of
    that, or nothing more is tried)."""
    try:
        size = os.stat(store.path)[6]
    except OSError:
        size = 0
    if size != store.size:
        load(store)
    elif _give_way(store, head) and store.size > store.live:
        compact(store)


def _give_way(store, head):
    """Forget the conversations for the sake of what is to be kept under the key in `head`; False
    where that is one of them. A reboot may find them again, which does no harm."""
    if head and head[1:3] == _SAID:
        return False
    at = 0
    while at < store.end:
        if store.rows[at] == _SAID[0]:
            store.note(at, None, False, 0, 0)
        else:
            at += _ROW_BYTES
    return True


def _copy(store, f, out):
    at = 0
    while at < store.end:
        f.seek(store.row(at)[0])
        body = record(f)
        if body is None:
            # A block gone bad in the middle: the others go on without it.
            store.note(at, None, False, 0, 0)
        else:
            write(out, body)
            at += _ROW_BYTES


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        pass
