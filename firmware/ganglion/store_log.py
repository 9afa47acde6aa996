"""The log as a whole: read at boot, cut behind its last good record, compacted now and then.

Compaction writes the live records aside and renames: at every moment one whole log exists.
"""

import errno
import os

from micropython import const

from .store import head_end, record, write

_ASIDE = ".new"
# As in store.py.
_HEAD_BYTES = const(6)
_ROW_BYTES = const(9)


def load(store):
    """Rows of what is on flash, a record at a time; from the first bad record on it is cut."""
    store.rows = bytearray()
    store.end = store.size = store.live = 0
    store.bad_tail = store.unread = False
    _remove(store.path + _ASIDE)  # a compaction the power cut short
    try:
        with open(store.path, "rb") as f:
            while True:
                body = record(f)
                end = head_end(body) if body else 0
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
