"""Sentences about the schedules and rules that there are, about the time zone and the place.

Nothing here is tried unless the device has the tools.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from companion import zones
from companion.backends.base import Call, Declined
from companion.backends.commands import vocabulary as voc
from companion.backends.commands.plan_calls import NAME_BYTES
from companion.backends.commands.plan_intents import ABOUT, GAP, HANDLER_OF, TABLE
from companion.backends.commands.scan import Scanner
from companion.backends.commands.sentence import Clause, Sentence, acts
from companion.backends.commands.tokens import Kind
from companion.backends.commands.words import wordset

_TOOLS = frozenset(
    ("schedule_list", "schedule_delete", "schedule_pause", "rule_list", "rule_delete",
     "rule_pause", "set_timezone", "set_place")
)  # fmt: skip

_ARE = wordset("am are")
_NO_NAME = wordset(
    "for of at in from to when if until unless tomorrow today tonight all every each any not "
    "except but or that this it which what please schedule schedules rule rules again by about"
)


def settle(s: Sentence, scanner: Scanner) -> bool:
    """A whole sentence about schedules, rules, the zone or the place. True when it was one."""
    if s.tools.isdisjoint(_TOOLS):
        return False
    words = {t.norm for t in s.tokens}
    if words.isdisjoint(ABOUT) and not ("at" in words and words & _ARE):
        return False
    scanned = scanner.scan(s.tokens)
    gap = GAP.match(scanned.codes)
    at = gap.end() if gap is not None else 0
    m = TABLE.match(scanned.codes, at)
    if m is None:
        return False
    slot = next((m.span(n) for n in TABLE.groupindex if n[0] == "n" and m.start(n) >= 0), None)
    clause = Clause(
        m.group(),
        scanned.items[at : m.end()],
        None if slot is None else (slot[0] - at, slot[1] - at),
        "?" in scanned.codes,
        bool(scanned.polite),
    )
    tool, handler = _SETTLERS[HANDLER_OF[m.lastgroup or ""]]
    if tool not in s.tools:
        return False
    return handler(s, clause, tool)


def _list(s: Sentence, c: Clause, tool: str) -> bool:
    s.call(tool, {})
    return True


def _drop(s: Sentence, c: Clause, tool: str) -> bool:
    acts(c)
    s.call(tool, {"name": _named(s, c)})
    return True


def _pause(s: Sentence, c: Clause, tool: str) -> bool:
    acts(c)
    s.call(tool, {"name": _named(s, c), "paused": True})
    return True


def _resume(s: Sentence, c: Clause, tool: str) -> bool:
    acts(c)
    s.call(tool, {"name": _named(s, c), "paused": False})
    return True


def _named(s: Sentence, c: Clause) -> str:
    """The name of a schedule or a rule, as the device keeps it."""
    first, last = _slot(c)
    if first == last and s.tokens[first].kind == Kind.QUOTE:
        name = s.tokens[first].norm
    else:
        while first < last and s.tokens[first].norm in ("the", "my", "our"):
            first += 1
        for token in s.tokens[first : last + 1]:
            word = token.norm
            if word in _NO_NAME or word in voc.NEGATIONS or word.endswith("n't"):
                raise Declined(f"I cannot tell the name from the rest ('{token.norm}'): quote it")
        name = s.spoken(first, last)
    name = " ".join(name.lower().split())
    if len(name.encode()) > NAME_BYTES:
        raise Declined(f"'{name[:40]}' is over {NAME_BYTES} bytes and no such name")
    return name


def _slot(c: Clause) -> tuple[int, int]:
    assert c.slot is not None  # every row with such a handler has one
    return c.items[c.slot[0]].first, c.items[c.slot[1] - 1].last


# As RFC 8536 and POSIX have it; the device checks it again.
_POSIX = re.compile(
    r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)[+-]?\d{1,2}(?::\d\d){0,2}"
    r"(?:(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)(?:[+-]?\d{1,2}(?::\d\d){0,2})?"
    r"(?:,[MJ]?[\d.]+(?:/[+-]?\d{1,3}(?::\d\d){0,2})?){2})?"
)
_TRAILING = re.compile(r"(?:[\s,.!]|\bplease\b|\bthanks\b)+\Z", re.IGNORECASE)


def _zone(s: Sentence, c: Clause, tool: str) -> bool:
    acts(c)
    text = _rest(s, c)
    known = {z.casefold(): z for z in zones.names()}.get(re.sub(r"\s+", "_", text.casefold()))
    if known is not None:
        try:
            posix = zones.posix(known)
        except ValueError as error:
            raise Declined(f"I know no rule of the time zone {known}") from error
    elif _POSIX.fullmatch(text) and not re.match(r"(?:UTC|GMT|Z)[+-]?0*[1-9]", text, re.I):
        posix = text
    else:
        near = zones.nearest(text)[:3] if len(text) <= 40 else []
        hint = f"; near: {', '.join(near)}" if near else ""
        raise Declined(f"I know no time zone '{text[:40]}': say one as Europe/Berlin{hint}")
    s.call(tool, {"tz": posix})
    return True


_NUMBER = r"([+-]?\d{1,3}(?:\.\d{1,8})?)\s*(?:°|degrees?)?\s*"
_PLACE = re.compile(
    rf"(?:latitude\s+)?{_NUMBER}(north|south|[ns])?\s*(,\s+|,|\s+and\s+|\s+)"
    rf"(?:longitude\s+)?{_NUMBER}(east|west|[ew])?",
    re.IGNORECASE,
)


def _place(s: Sentence, c: Clause, tool: str) -> bool:
    """False where no two numbers are ("my place is a mess")."""
    text = _rest(s, c)
    m = _PLACE.fullmatch(text)
    if m is None:
        return False
    acts(c)
    if m[3] == "," and ("." not in m[1] or "." not in m[4]):
        raise Declined(f"'{text[:40]}' may be one number: put a space after the comma")
    values = []
    for number, side, least in ((m[1], m[2], 90), (m[4], m[5], 180)):
        value = float(number)
        if side and number[0] in "+-":
            raise Declined(f"'{text[:40]}' has a sign and a side: say one of them")
        if abs(value) > least:
            raise Declined(f"{number} is no place on earth: say latitude, then longitude")
        values.append(-value if (side or "n")[0].lower() in "sw" else value)
    s.call(tool, {"lat": values[0], "lon": values[1]})
    return True


def _rest(s: Sentence, c: Clause) -> str:
    first, last = _slot(c)
    if s.tokens[first].kind == Kind.QUOTE:
        first_text = s.tokens[first].norm
        return first_text if first == last else s.spoken(first, last)
    return _TRAILING.sub("", s.spoken(first, last).rstrip("?"))


_SETTLERS: dict[str, tuple[str, Callable[[Sentence, Clause, str], bool]]] = {
    "schedules": ("schedule_list", _list),
    "rules": ("rule_list", _list),
    "drop_schedule": ("schedule_delete", _drop),
    "drop_rule": ("rule_delete", _drop),
    "pause_schedule": ("schedule_pause", _pause),
    "pause_rule": ("rule_pause", _pause),
    "resume_schedule": ("schedule_pause", _resume),
    "resume_rule": ("rule_pause", _resume),
    "zone": ("set_timezone", _zone),
    "place": ("set_place", _place),
}


def stray(calls: Sequence[Call], facts: Mapping[str, str], tools: AbstractSet[str]) -> bool:
    """Whether a sentence about a schedule or a rule was taken for one about a fact."""
    return not tools.isdisjoint(_TOOLS) and any(
        c.tool == "memory_delete"
        and c.args["key"] not in facts
        and not _OF_PLANS.isdisjoint(c.args["key"].split())
        for c in calls
    )


_OF_PLANS = wordset("schedule schedules rule rules")
