"""Handlers of pins and points: switch, toggle, open, read.

A handler adds calls to the sentence or raises Declined with what a person can do about it. It
also leaves behind what the next clause may lean on: the targets ("it"), the level ("… and pin
6") and whether it asked or acted.
"""

from companion.backends.base import Declined, Point
from companion.backends.commands import vocabulary as voc
from companion.backends.commands.lexicon import name_words
from companion.backends.commands.scan import Group, Run
from companion.backends.commands.sentence import (
    MAX_CALLS,
    TARGETS,
    Clause,
    Level,
    Mode,
    Sentence,
    acts,
    level_of,
    members_of,
    targets_of,
)
from companion.backends.commands.templates import QUOTED, RUN


def _write(s: Sentence, c: Clause, level: Level) -> None:
    acts(c)
    targets = targets_of(s, c, acting=True) or []
    for arg in targets:
        s.call("gpio_write", {"pin": arg, "value": level})
    s.last, s.level, s.mode = targets, level, "write"
    s.loose = len(targets) > 1 and c.codes[-1] in TARGETS


def _read(s: Sentence, c: Clause, mode: Mode = "read") -> None:
    targets = targets_of(s, c, acting=False)
    if targets is None:
        s.call("gpio_read_all", {})
    else:
        for arg in targets:
            s.call("gpio_read", {"pin": arg})
    s.last, s.mode, s.loose = targets or [], mode, False


def write(s: Sentence, c: Clause) -> None:
    _write(s, c, level_of(c))
    if "sure" in (i.payload for i in c.items) or c.items[0].payload == "ensure":
        s.mode = "ensure"


def write_on(s: Sentence, c: Clause) -> None:
    _write(s, c, 1)


def write_off(s: Sentence, c: Clause) -> None:
    _write(s, c, 0)


def toggle(s: Sentence, c: Clause) -> None:
    _write(s, c, "toggle")


def open_(s: Sentence, c: Clause) -> None:
    _movable(s, c)
    _write(s, c, 1)


def close(s: Sentence, c: Clause) -> None:
    _movable(s, c)
    _write(s, c, 0)


def _movable(s: Sentence, c: Clause) -> None:
    """A valve opens when driven; a closed contact conducts, and a bare pin could be either."""
    targets = targets_of(s, c, acting=True) or []
    if any(isinstance(t, int) or voc.CONTACTS & set(name_words(t)) for t in targets):
        raise Declined("open and close can mean either level here: say on or off")


def read(s: Sentence, c: Clause) -> None:
    _read(s, c)


def read_state(s: Sentence, c: Clause) -> None:
    _read(s, c, "ask")


def which(s: Sentence, c: Clause) -> None:
    s.call("gpio_read_all", {})
    s.mode, s.last, s.loose = "ask", [], False


def which_group(s: Sentence, c: Clause) -> None:
    """ "which lights are on": every point with that word."""
    item = next(i for code, i in zip(c.codes, c.items, strict=True) if code in TARGETS)
    if isinstance(item.payload, Run):
        words: tuple[str, ...] = item.payload.words
    elif isinstance(item.payload, Point):
        words = name_words(item.payload.name)
    else:
        raise Declined("I know no such request")
    spoken = s.spoken(item.first, item.last)
    members = members_of(s, Group("all", "", words), False, spoken) or []
    if len(members) > MAX_CALLS:
        s.call("gpio_read_all", {})
    else:
        for arg in members:
            s.call("gpio_read", {"pin": arg})
    s.mode, s.last, s.loose = "ask", list(members), False


def elliptic(s: Sentence, c: Clause) -> None:
    """ "pin 5 on": a command; a question after a question or with a question mark."""
    if (c.question and not c.polite) or s.mode == "ask":
        _read(s, c, "ask")
        return
    if s.mode == "read":
        raise Declined("I cannot tell whether to read or to switch: say it in two sentences")
    level = level_of(c)
    if s.loose and level != s.level:
        raise Declined("that list could be split in two ways: say it in two sentences")
    _write(s, c, level)


def statement(s: Sentence, c: Clause) -> None:
    """ "… and pin 6 is off" goes on with a question or a demand; alone it tells, not asks."""
    if s.mode in ("ask", "read"):
        _read(s, c, "ask")
    elif s.mode == "ensure":
        _write(s, c, level_of(c))
        s.mode = "ensure"
    else:
        raise Declined("that states something: say 'turn …' to act or 'is …?' to ask")


def inherit(s: Sentence, c: Clause) -> None:
    """ "… and pin 6": as the clause before."""
    if s.mode in ("write", "ensure") and s.level is not None:
        _write(s, c, s.level)
    elif s.mode in ("ask", "read"):
        _read(s, c, s.mode)
    else:
        item = c.items[-1]
        spoken = s.spoken(item.first, item.last)
        if c.codes[-1] in (RUN, QUOTED) and s.lexicon.find(name_words(spoken)) is None:
            raise Declined(f"I don't understand '{spoken[:40]}'")
        raise Declined(f"I don't know what to do with {spoken[:40]}: say on, off or read")
