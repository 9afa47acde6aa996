"""A sentence while it is understood, and what its clauses name: targets and levels."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from companion.backends.base import Call, Declined, Json, Point
from companion.backends.commands import vocabulary as voc
from companion.backends.commands.lexicon import Lexicon, canon, name_words
from companion.backends.commands.scan import Group, Item, Run
from companion.backends.commands.templates import GROUP, NUMBER, PIN, POINT, QUOTED, RUN
from companion.backends.commands.tokens import Token

MAX_CALLS = 8
"""The bound of an answer in ``docs/protocol.md``."""

Arg: TypeAlias = int | str
Level: TypeAlias = Literal[0, 1, "toggle"]
Mode: TypeAlias = Literal["", "write", "ensure", "ask", "read", "naming", "other"]

TARGETS = frozenset((PIN, POINT, RUN, QUOTED, GROUP))
_ITS = frozenset(voc.WORDS["it"])


class Clause(NamedTuple):
    """A clause that a row matched: its items with their codes, the items of its free slot
    (a name, a fact) and what stands outside the words."""

    codes: str
    items: Sequence[Item]
    slot: tuple[int, int] | None
    question: bool
    polite: bool


@dataclass(slots=True)
class Sentence:
    """What was said, and what has come of it so far."""

    text: str
    tokens: Sequence[Token]
    lexicon: Lexicon
    facts: Mapping[str, str]
    calls: list[Call] = field(default_factory=list)
    last: list[Arg] = field(default_factory=list)
    level: Level | None = None
    mode: Mode = ""
    loose: bool = False
    """The clause before ended in a list ("turn on a, b"): a level after the next target could
    belong to the end of that list as well."""
    named: dict[tuple[str, ...], str] = field(default_factory=dict)
    tools: AbstractSet[str] = frozenset()
    """What the device can do beyond switching and reading; see ``planned``."""

    def call(self, tool: str, args: Json) -> None:
        if len(self.calls) >= MAX_CALLS:
            raise Declined(f"that is more than {MAX_CALLS} steps: say it in two sentences")
        self.calls.append(Call(tool, args))

    def spoken(self, first: int, last: int) -> str:
        """The words as they were written."""
        return self.text[self.tokens[first].start : self.tokens[last].end]


def targets_of(s: Sentence, c: Clause, acting: bool) -> list[Arg] | None:
    """The pins and points of a clause, in order; None for "everything there is" (reads only)."""
    out: list[Arg] = []
    for code, item in zip(c.codes, c.items, strict=True):
        if item.payload in _ITS:
            if not s.last or (item.payload == "it" and len(s.last) != 1):
                raise Declined(f"I don't know what '{item.payload}' is: say its name")
            out.extend(s.last)
        elif code not in TARGETS:
            continue
        elif isinstance(item.payload, int):
            out.append(item.payload)
        elif isinstance(item.payload, Group):
            members = members_of(s, item.payload, acting, s.spoken(item.first, item.last))
            if members is None:
                return None
            out.extend(members)
        else:
            out.append(_one(s, item, acting))
    unique = list(dict.fromkeys(out))
    if len(unique) > MAX_CALLS:
        raise Declined(f"that is more than {MAX_CALLS} steps: say it in two sentences")
    return unique


def _one(s: Sentence, item: Item, acting: bool) -> Arg:
    if isinstance(item.payload, Point):
        point = item.payload
    else:
        spoken = s.spoken(item.first, item.last)
        if isinstance(item.payload, Run):
            words = item.payload.words
        else:
            words, spoken = name_words(str(item.payload)), str(item.payload)
        fresh = s.named.get(words) or s.named.get(tuple(canon(w) for w in words))
        if fresh is not None:
            return fresh
        group = s.lexicon.grouped(words, plain=False)
        if group is not None and s.lexicon.exact(words) is None:
            return group
        point = s.lexicon.resolve(words, spoken)
    if acting and point.dir == "in":
        raise Declined(f"{point.name} is an input: I can only read it")
    return point.name


def members_of(s: Sentence, group: Group, acting: bool, spoken: str) -> list[Arg] | None:
    points: Sequence[Point]
    named = s.lexicon.grouped(group.words) if group.words else None
    if named is not None and group.quantifier != "both":
        # The device knows who is in it, and sets or reads each.
        if acting and group.quantifier in ("any", "anything"):
            raise Declined(f"'{spoken}' could be any of them: say which one or all")
        return [named]
    if group.words:
        points = s.lexicon.group(group.words)
        if not points:
            raise Declined(f"I don't know a point called '{spoken}'; {s.lexicon.known()}")
        if group.quantifier == "both" and len(points) != 2:
            names = ", ".join(p.name for p in points)
            raise Declined(f"'{spoken}' is not two points ({names}): say which")
    elif group.kind in ("in", "out"):
        points = [p for p in s.lexicon.points if p.dir == group.kind]
    elif not acting:
        return None
    elif group.kind == "pins":
        raise Declined("I switch all named points or pins by number: say 'everything' or which")
    else:
        points = s.lexicon.points
    if acting:
        if group.quantifier in ("any", "anything"):
            raise Declined(f"'{spoken}' could be any of them: say which one or all")
        points = [p for p in points if p.dir != "in"]
        if not points:
            raise Declined("no output has a name yet: say 'call pin 5 kitchen light' first")
    elif not points:
        raise Declined("no such point has a name yet: say 'call pin 5 kitchen light' first")
    return [p.name for p in points]


def level_of(c: Clause) -> Level:
    """The level that a clause names; the last word that carries one."""
    for code, item in zip(reversed(c.codes), reversed(c.items), strict=True):
        if code == NUMBER:
            if item.payload in (0, 1):
                return 1 if item.payload else 0
            raise Declined(f"a pin is on (1) or off (0), not {item.payload}")
        level = voc.LEVELS.get(item.payload) if isinstance(item.payload, str) else None
        if level is not None and code not in TARGETS:
            return 1 if level else 0
    raise Declined("say on or off")


def acts(c: Clause) -> None:
    """Raises Declined for a question: "turn on the heater?" asks, "could you …?" does not."""
    if c.question and not c.polite:
        raise Declined("that was a question: say it without the question mark, or with 'please'")
