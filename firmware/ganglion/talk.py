"""What was said: which conversation of which speaker, and where on flash its turns are.

A message is `["u", text]`, `["d", [[tool, args, receipt], ...]]` or `["a", text]`; a turn is its
messages joined by commas, as JSON text ready to send. Only a companion that has lost the thread
wants it, so the text is on flash (talk_flash.py), and the heap has an index of it.
"""

import json

from micropython import const

from . import lazy

_MAX_SPEAKERS = const(4)
# What the receipts of one round may take in a message.
_MAX_CALLS_BYTES = const(1800)


NOWHERE = 7  # the place of a turn that flash did not take


def key_of(slot, place, part=0):
    return "v:%d%d" % (slot, place) + (chr(97 + part) if part else "")


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

    def __init__(self, speaker, slot):
        self.speaker = speaker
        self.slot = slot  # 0..3, in the keys of its turns
        self.last = None
        self.n = 0  # number of the newest turn that is on flash; they count up, over reboots too
        self.turns = []  # bytes << 3 | place of each that is kept, oldest first


class Conversations:
    def __init__(self, store):
        self.store = store
        self.n = 0  # the highest number of a turn
        self.all = []  # oldest use first
        if store.count("v:"):
            self.flash("load")

    def of(self, speaker):
        """A speaker's conversation; who was silent longest is forgotten to make room."""
        for found in self.all:
            if found.speaker == speaker:
                self.all.remove(found)
                break
        else:
            slots = [c.slot for c in self.all]
            slot = 0
            while slot in slots:
                slot += 1
            if slot >= _MAX_SPEAKERS:
                slot = self.all.pop(0).slot
            found = Conversation(speaker, slot)
        self.all.append(found)
        return found

    def texts(self, c):
        """What flash has of a conversation, a comma behind each turn; `flash("check", c)` first,
        and nothing may be written meanwhile."""
        for turn in c.turns:
            head = self.store.get(key_of(c.slot, turn & 7))
            yield head[6]
            for part in range(1, head[5]):
                yield self.store.get(key_of(c.slot, turn & 7, part))[1]
            yield ","

    def flash(self, what, *args):
        """`talk_flash.<what>(self)`: what comes after a turn, at boot and now and then."""
        try:
            return getattr(lazy.load("talk_flash"), what)(self, *args)
        finally:
            lazy.drop("talk_flash")
