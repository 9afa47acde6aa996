"""What was said: the conversation of each speaker, bounded, as JSON text ready to send.

A message is `["u", text]`, `["d", [[tool, args, receipt], ...]]` or `["a", text]`; a turn is its
messages joined by commas. Text, not objects: it is a third of the size in the heap.
"""

import json

from micropython import const

_MAX_SPEAKERS = const(4)
_MAX_TURNS = const(6)
_MAX_BYTES = const(2048)  # of one speaker, and of all the others together
# What the receipts of one round may take in a message.
_MAX_CALLS_BYTES = const(1800)


def dumps(obj):
    return json.dumps(obj, separators=(",", ":"))


def calls_text(results, limit=_MAX_CALLS_BYTES):
    """`[[tool, args, receipt], ...]` as JSON of `limit` bytes at most; long receipts give way."""
    text = dumps(results)
    while len(text.encode()) > limit:
        longest = max(results, key=lambda r: len(dumps(r[2])))
        if longest[2] == {"cut": 1}:
            # Receipts alone did not do it: the arguments, which the answer's sender knows.
            longest = max(results, key=lambda r: len(dumps(r[1])))
            if longest[1] == {}:
                break
            longest[1] = {}
        else:
            longest[2] = {"cut": 1}
        text = dumps(results)
    return text


class Conversation:
    """`last` is the id of the newest turn, the name of this prefix on the wire."""

    def __init__(self):
        self.last = None
        self.turns = []

    def size(self):
        return sum([len(t) for t in self.turns])

    def add(self, turn_id, messages):
        self.turns.append(",".join(messages))
        self.last = turn_id
        while self.turns and (len(self.turns) > _MAX_TURNS or self.size() > _MAX_BYTES):
            self.turns.pop(0)


class Conversations:
    def __init__(self):
        self._of = []  # [speaker, Conversation], oldest use first

    def of(self, speaker):
        """A speaker's conversation; who was silent longest is forgotten to make room."""
        mine = (speaker, Conversation())
        others = []
        for pair in self._of:
            if pair[0] == speaker:
                mine = pair
            else:
                others.append(pair)
        while len(others) >= _MAX_SPEAKERS or sum([p[1].size() for p in others]) > _MAX_BYTES:
            others.pop(0)
        others.append(mine)
        self._of = others
        return mine[1]
