"""Which facts a companion is told: all, or where these are too many, those that fit what was said.

First what is pinned, then what shares words with it (a longer word counts more), then what was
written last. Loaded for a use; one record at a time is in the heap, 64 at most are looked at.
"""

import binascii

from micropython import const

from .store import record

_BUDGET_BYTES = const(1536)
_ROW_BYTES = const(9)  # as in store.py
# What a record has that the wire has not: head, brackets, prefix, comma.
_BESIDE_BYTES = const(10)
_LETTER = const(109)  # m
_MAX_WORDS = const(24)
_MIN_BYTES = const(3)
# Words that say nothing about what a sentence is about.
_EMPTY = (
    " the and you your what when where which who how why can could would should will please for"
    " with from this that are was has have does did not turn set tell about "
)


def choose(store, text):
    """`(token, places of their rows, True where these are all)` of the facts that go with `text`.

    The token stands for what is in these records, whatever boot or place on flash they have.
    """
    rows = [at for at in range(0, store.end, _ROW_BYTES) if store.rows[at] == _LETTER]
    fits = sum([store.row(at)[1] - _BESIDE_BYTES for at in rows]) <= _BUDGET_BYTES
    token = 0
    if rows:
        with open(store.path, "rb") as f:
            if not fits:
                rows = _best(store, f, rows, _words(text))
            for at in rows:
                f.seek(store.row(at)[0] + 2)
                token = binascii.crc32(f.read(4), token)  # of the records' own checksums
    return "%08x" % token if rows else None, rows, fits


def _body(store, f, at):
    """A record's JSON; empty where its block of flash went bad."""
    f.seek(store.row(at)[0])
    return record(f) or b""


def _best(store, f, rows, words):
    ranks = []
    for n, at in enumerate(rows):
        body = _body(store, f, at).lower()
        # A rank is one number: pinned, then likeness, then age.
        ranks.append((body[-2:] == b"]]") << 24 | min(_likeness(body, words), 4095) << 8 | n)
    ranks.sort(reverse=True)
    left = _BUDGET_BYTES
    chosen = []
    for rank in ranks:
        at = rows[rank & 255]
        size = store.row(at)[1] - _BESIDE_BYTES
        if size <= left:
            left -= size
            chosen.append(at)
    chosen.sort()
    return chosen


def _words(text):
    """Words of a sentence as bytes, in small letters (of ASCII), without a plural's s."""
    out = []
    word = ""
    for c in text.lower() + " ":
        if c.isalpha() or c.isdigit() or ord(c) > 127:
            word += c
            continue
        found = word.encode()
        if len(found) >= _MIN_BYTES and " %s " % word not in _EMPTY and len(out) < _MAX_WORDS:
            if word[-1] == "s" and len(found) > _MIN_BYTES:
                found = found[:-1]
            if found not in out:
                out.append(found)
        word = ""
    return out


def _likeness(body, words):
    """Bytes of the words that a fact has, at the beginning of a word of its own."""
    n = 0
    for word in words:
        at = body.find(word)
        while at > 0:
            before = body[at - 1]
            if before < 128 and not (97 <= before <= 122 or 48 <= before <= 57):
                n += len(word)
                break
            at = body.find(word, at + 1)
    return n
