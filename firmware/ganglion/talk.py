"""What was said: the conversation of each speaker, bounded, as JSON text ready to send.

A message is `["u", text]`, `["d", [[tool, args, receipt], ...]]` or `["a", text]`; a turn is its
messages joined by commas. Text, not objects: it is a third of the size in the heap.
"""

import json

MAX_SPEAKERS = 4
MAX_TURNS = 6
MAX_BYTES = 2048
# What the receipts of one round may take in a message.
_MAX_CALLS_BYTES = 1800


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

    def add(self, turn_id, messages):
        self.turns.append(",".join(messages))
        self.last = turn_id
        while self.turns and (
            len(self.turns) > MAX_TURNS or sum([len(t) for t in self.turns]) > MAX_BYTES
        ):
            self.turns.pop(0)


class Conversations:
    def __init__(self):
        self._of = []  # [speaker, Conversation], oldest use first

    def of(self, speaker):
        for at in range(len(self._of)):
            if self._of[at][0] == speaker:
                self._of.append(self._of.pop(at))
                return self._of[-1][1]
        if len(self._of) >= MAX_SPEAKERS:
            self._of.pop(0)
        self._of.append((speaker, Conversation()))
        return self._of[-1][1]
