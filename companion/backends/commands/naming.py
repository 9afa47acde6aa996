"""Handlers of names: give a pin one, take it away."""

from companion.backends.base import Declined, Json, Point
from companion.backends.commands import vocabulary as voc
from companion.backends.commands.lexicon import canon, name_words
from companion.backends.commands.scan import Item, Run
from companion.backends.commands.sentence import TARGETS, Arg, Clause, Sentence, acts
from companion.backends.commands.templates import GROUP, PIN
from companion.backends.commands.times import duration_at, weekdays_at
from companion.backends.commands.tokens import Kind

NAME_BYTES = 24
"""The bound of ``docs/protocol.md``, in UTF-8 bytes."""

_DETERMINERS = frozenset(voc.WORDS["the"])


def name(s: Sentence, c: Clause) -> None:
    _name(s, c, None)


def name_in(s: Sentence, c: Clause) -> None:
    _name(s, c, "in")


def name_out(s: Sentence, c: Clause) -> None:
    _name(s, c, "out")


def name_the(s: Sentence, c: Clause) -> None:
    """ "pin 5 is the kitchen light", not "pin 5 is broken"."""
    if c.slot is not None and c.codes[:1] == PIN:
        first = s.tokens[c.items[c.slot[0]].first]
        if first.kind != Kind.QUOTE and first.norm not in _DETERMINERS:
            raise Declined("to name a pin say 'call pin 5 kitchen light'")
    _name(s, c, None)


def _name(s: Sentence, c: Clause, direction: str | None) -> None:
    acts(c)
    if c.slot is None:
        raise Declined("to name a pin say 'call pin 5 kitchen light'")
    start, end = c.slot
    pins = [
        i.payload
        for at, (code, i) in enumerate(zip(c.codes, c.items, strict=True))
        if code == PIN and not start <= at < end and isinstance(i.payload, int)
    ]
    first, last = c.items[start].first, c.items[end - 1].last
    label = label_of(s, first, last)
    args: Json = {"name": label, "pin": pins[0]}
    if direction is not None:
        args["dir"] = direction
    s.call("point_set", args)
    words = name_words(label)
    s.named[words] = s.named[tuple(canon(w) for w in words)] = label
    s.last, s.mode, s.level, s.loose = [label], "naming", None, False


def label_of(s: Sentence, first: int, last: int) -> str:
    """The name as written, in the form in which the device keeps it: lower case, single
    spaces."""
    quoted = first == last and s.tokens[first].kind == Kind.QUOTE
    while not quoted and first < last and s.tokens[first].norm in _DETERMINERS:
        first += 1
    raw = s.tokens[first].norm if quoted else s.spoken(first, last)
    label = " ".join(raw.lower().split())
    words = name_words(label)
    if not words or all(w in voc.RESERVED or w.isdigit() for w in words):
        raise Declined(f"'{label[:40]}' cannot be a name: it would be taken for a command")
    for word in () if quoted else words:
        if word in voc.NO_NAME or word in ("input", "output"):
            raise Declined(f"I cannot tell the name from the rest ('{word}'): put it in quotes")
    if not quoted and any(
        duration_at(words, i) or weekdays_at(words, i) for i in range(len(words))
    ):
        raise Declined("I cannot tell the name from the time: put the name in quotes")
    if len(label.encode()) > NAME_BYTES:
        raise Declined(f"the name '{label[:40]}' is over {NAME_BYTES} bytes: take a shorter one")
    return label


def name_more(s: Sentence, c: Clause) -> None:
    """ "call pin 12 fan and pin 13 lamp"."""
    if not s.named or s.mode != "naming":
        spoken = s.spoken(c.items[0].first, c.items[0].last)
        raise Declined(f"I don't know what to do with {spoken}: say on, off or read")
    _name(s, c, None)


def rename_pin(s: Sentence, c: Clause) -> None:
    """A first name is no change; a second beside the first is not what was asked for."""
    pin = next(i.payload for code, i in zip(c.codes, c.items, strict=True) if code == PIN)
    if any(p.pin == pin for p in s.lexicon.points):
        rename(s, c)
    _name(s, c, None)


def rename(s: Sentence, c: Clause) -> None:
    raise Declined("I cannot rename: name the pin anew ('call pin 5 …'), then forget the old name")


def forget_name(s: Sentence, c: Clause) -> None:
    acts(c)
    done: list[Arg] = []
    for code, item in zip(c.codes, c.items, strict=True):
        if code == GROUP:
            raise Declined("I forget one name at a time, not all: say which")
        if code not in TARGETS:
            continue
        if isinstance(item.payload, int):
            done.append(_name_of_pin(s, item.payload))
        else:
            done.append(_whole_name(s, item))
    if not done:
        raise Declined("say which name")
    for label in done:
        s.call("point_delete", {"name": label})
    s.last, s.mode, s.loose = [], "other", False


def _name_of_pin(s: Sentence, pin: int) -> str:
    names = [p.name for p in s.lexicon.points if p.pin == pin]
    if len(names) != 1:
        state = f"has several names ({', '.join(names)}): say which" if names else "has no name"
        raise Declined(f"pin {pin} {state}")
    return names[0]


def _whole_name(s: Sentence, item: Item) -> str:
    """Deleting takes a whole name; a part of one is too little."""
    if isinstance(item.payload, Point):
        return item.payload.name
    spoken = s.spoken(item.first, item.last)
    words = item.payload.words if isinstance(item.payload, Run) else name_words(str(item.payload))
    point = s.lexicon.exact(words)
    if point is None:
        near = s.lexicon.resolve(words, spoken)
        raise Declined(f"to delete a name say all of it: '{near.name}'")
    return point.name
