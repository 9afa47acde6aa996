"""What was said, so that a device need not send it again: a bounded cache.

A node is kept for each answered ask (the conversation as it stood after that answer) and for
each replied turn (as it stood after the reply), keyed by device, speaker and id, with a link to
what it continues. A missing link is no fault: the companion asks for the conversation whole.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from companion.wire import Message, Ran

Key: TypeAlias = tuple[str, str, str]
"""Device, speaker, turn or ask id."""

ENTRIES_MAX: Final = 2500
"""A device with all that it remembers, six turns of four rounds, has some 30 at most."""
BYTES_MAX: Final = 4 * 1024 * 1024
_NODE_BYTES: Final = 600
"""What a node costs besides its text: tuples, keys, links, as measured with sys.getsizeof."""
_CHAIN_MAX: Final = 64
"""Links followed at most; a device keeps six turns of four rounds."""


@dataclass(frozen=True, slots=True)
class _Node:
    parent: str | None
    """The id that ``messages`` continue; None: the conversation begins here."""
    last: int | None
    """How many past turns of the parent the device still knew; None: all."""
    messages: tuple[Message, ...]
    size: int


class Contexts:
    """The cache. Bounded in entries and bytes; what was used longest ago goes first."""

    def __init__(self, entries_max: int = ENTRIES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._nodes: OrderedDict[Key, _Node] = OrderedDict()
        self._asks: OrderedDict[tuple[str, str], Key] = OrderedDict()
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def bytes(self) -> int:
        """What the cache holds, estimated."""
        return self._bytes

    def lookup(
        self, device: str, speaker: str, ctx: str | None, n: int | None
    ) -> tuple[Message, ...] | None:
        """The conversation that ``ctx`` names, cut to its last ``n`` turns (None: whole).

        None when some of it is not held here. A device that names no ``ctx`` has said nothing
        before: an empty conversation.
        """
        pieces: list[tuple[Message, ...]] = []
        need = n
        seen: set[str] = set()
        for _ in range(_CHAIN_MAX):
            if ctx is None or need == 0:
                break
            key = (device, speaker, ctx)
            node = self._nodes.get(key)
            # A requester that uses an id again, after a reboot of the device, makes a ring of
            # what the device knows as a line: only the device can tell.
            if node is None or ctx in seen:
                return None
            seen.add(ctx)
            self._nodes.move_to_end(key)
            turns = sum(message[0] == "u" for message in node.messages)
            if need is not None and turns >= need:
                pieces.append(_last_turns(node.messages, need))
                break
            pieces.append(node.messages)
            if need is None:
                need = node.last
            else:
                need -= turns
                # The device claims to know more than it did when this node was made.
                if node.parent is None or (node.last is not None and need > node.last):
                    return None
            ctx = node.parent
        else:
            return None
        return tuple(message for piece in reversed(pieces) for message in piece)

    def answered(
        self,
        device: str,
        speaker: str,
        turn: str,
        ask: str,
        ctx: str | None,
        n: int | None,
        new: tuple[Message, ...],
        size: int,
    ) -> None:
        """An ask was answered; ``new`` continued ``ctx``. ``size``: its bytes on the wire."""
        key = (device, speaker, ask)
        self._put(key, _Node(ctx, n, new, size + _NODE_BYTES))
        self._asks[(device, turn)] = key
        self._asks.move_to_end((device, turn))
        if len(self._asks) > self._entries_max:
            self._asks.popitem(last=False)

    def replied(self, device: str, turn: str, calls: Sequence[Ran], text: str, size: int) -> None:
        """The device replied. Without an ask of this turn seen here there is nothing to keep:
        the words that began the turn are not in its reply."""
        key = self._asks.pop((device, turn), None)
        if key is None:
            return
        said: Message | None = None
        before: tuple[Message, ...] = ()
        parent: str | None = key[2]
        last: int | None = None
        # Back through the rounds of this turn to the one that brought the person's words.
        for _ in range(_CHAIN_MAX):
            node = None if parent is None else self._nodes.get((device, key[1], parent))
            if node is None:
                return
            parent, last = node.parent, node.last
            begin = _last_user(node.messages)
            if begin is not None:
                said = node.messages[begin]
                before = node.messages[:begin]
                break
        if said is None:
            return
        turn_messages: list[Message] = [*before, said]
        if calls:
            turn_messages.append(("d", tuple(calls)))
        turn_messages.append(("a", text))
        node = _Node(parent, last, tuple(turn_messages), size + _NODE_BYTES + len(str(said[1])))
        self._put((device, key[1], turn), node)

    def _put(self, key: Key, node: _Node) -> None:
        old = self._nodes.pop(key, None)
        if old is not None:
            self._bytes -= old.size
        self._nodes[key] = node
        self._bytes += node.size
        while len(self._nodes) > self._entries_max or self._bytes > self._bytes_max:
            _, gone = self._nodes.popitem(last=False)
            self._bytes -= gone.size


def _last_user(messages: Sequence[Message]) -> int | None:
    for i in range(len(messages) - 1, -1, -1):
        if messages[i][0] == "u":
            return i
    return None


def _last_turns(messages: tuple[Message, ...], n: int) -> tuple[Message, ...]:
    """The messages from the ``n``-th last user message on; there are that many."""
    starts = [i for i, message in enumerate(messages) if message[0] == "u"]
    return messages[starts[-n] :]
