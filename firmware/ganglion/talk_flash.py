"""Conversations on flash: read at boot, added to after each turn, sent when a companion asks.

A turn is one record, or some where it is long: `v:<slot><place>`, and before it `v:<slot><place>b`
and so on. The first says `[number, number of the turn before or 0, turn id, speaker, bytes,
records, text]`, the others `[number, text]`. It is written last, so that a turn which the power
cut short is forgotten whole; and a place that is written anew is one whose turn was given up.

A conversation is a comfort. Where flash is full it is kept no more, and nobody is told; what
others want to keep takes its room (store_log.py).
"""

from micropython import const

from .store import MAX_KEYS, MAX_LIVE_BYTES, StoreFull
from .talk import NOWHERE, Conversation, dumps, key_of

_MAX_TURNS = const(6)
_MAX_BYTES = const(2048)  # of one speaker
_TEXT_BYTES = const(744)  # of a record as JSON; the rest of its 1024 is for speaker and id
# Left for what is no comfort: with less, each of its writes would have to make room.
_SPARE_BYTES = const(8192)
_SPARE_KEYS = const(16)
_ROW_BYTES = const(9)  # as in store.py


def load(talks):
    """The index, as the last boot left it."""
    heads = {}
    for key, value in talks.store.items("v:"):
        if len(key) == 2:
            heads.setdefault(int(key[0]), []).append((value[0], int(key[1])))
            talks.n = max(talks.n, value[0])
    found = []
    for slot in heads:
        heads[slot].sort()
        c = _loaded(talks.store, slot, dict(heads[slot]), heads[slot][-1][0])
        if c:
            found.append((c.n, c))
    found.sort(key=lambda pair: pair[0])
    talks.all = [c for _, c in found]


def _loaded(store, slot, places, n):
    """A slot's conversation, from its newest turn `n` back as far as all of it is there."""
    c = None
    while n in places:
        head = _whole(store, slot, places[n], n)
        if head is None or (c and head[3] != c.speaker):
            break
        if c is None:
            c = Conversation(head[3], slot)
            c.last = head[2]
            c.n = n
        c.turns.insert(0, head[4] << 3 | places[n])
        n = head[1]
    return c


def _whole(store, slot, place, n=None):
    """The first record of turn `n`, of any at this place; None unless all of it is there."""
    head = store.get(key_of(slot, place))
    if head is None or (n is not None and head[0] != n):
        return None
    for part in range(1, head[5]):
        more = store.get(key_of(slot, place, part))
        if more is None or more[0] != head[0]:
            return None
    return head


def add(talks, c, tid, messages):
    """Keep a turn; the oldest turns give way to it, each as a whole."""
    store = talks.store
    size = len(messages) - 1
    for text in messages:
        size += len(text.encode())
    most = _MAX_BYTES - size
    turns = c.turns
    gone = []
    while turns and (len(turns) >= _MAX_TURNS or sum([t >> 3 for t in turns]) > most):
        gone.append(turns.pop(0) & 7)
    c.last = tid
    if most < 0:
        c.n = 0
        for place in gone:
            _forget(store, c.slot, place)
        return
    place = 0
    while place in [t & 7 for t in turns]:
        place += 1
    if (
        store.live + 2 * size > MAX_LIVE_BYTES - _SPARE_BYTES
        or store.end > (MAX_KEYS - _SPARE_KEYS) * _ROW_BYTES
    ):
        place = NOWHERE
    else:
        try:
            for other in gone:
                if other != place:
                    _forget(store, c.slot, other)
            _write(talks, c, place, tid, size, ",".join(messages))
        except (StoreFull, OSError):
            place = NOWHERE
    if place == NOWHERE:
        c.n = 0
    turns.append(size << 3 | place)


def _write(talks, c, place, tid, size, text):
    parts = []
    while text:
        end = _TEXT_BYTES
        while len(dumps(text[:end]).encode()) > _TEXT_BYTES:
            end = end * 3 // 4
        parts.append(text[:end])
        text = text[end:]
    n = talks.n + 1
    for part in range(len(parts) - 1, 0, -1):
        talks.store.set(key_of(c.slot, place, part), [n, parts[part]])
    head = [n, c.n if c.turns else 0, tid, c.speaker, size, len(parts), parts[0]]
    talks.store.set(key_of(c.slot, place), head)
    talks.n = c.n = n
    _forget(talks.store, c.slot, place, len(parts))


def _forget(store, slot, place, part=0):
    """Records of a place, from this part on."""
    while store.delete(key_of(slot, place, part)):
        part += 1


def check(talks, c):
    """Leave out of the index what flash has no more, before a companion is told the whole."""
    turns = c.turns
    at = len(turns)
    while at and turns[at - 1] & 7 != NOWHERE and _whole(talks.store, c.slot, turns[at - 1] & 7):
        at -= 1
    del turns[:at]
