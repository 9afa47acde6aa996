"""Sentences about another time: schedules, pulses, rules, and what these depend on.

A sentence with a time is its phrase of time, at its beginning or its end, and a command that the
first table understands by itself; a rule is a condition and a command. The command must be one
clause that only switches, so that there is no doubt about what the time belongs to. Nothing here
is tried unless the device has the tools.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise
from typing import NamedTuple

from companion import zones
from companion.backends.base import Call, Declined, Json, Point
from companion.backends.commands import vocabulary as voc
from companion.backends.commands.events import EventCondition, event_at
from companion.backends.commands.lexicon import name_words
from companion.backends.commands.phrases import (
    STARTS,
    Timing,
    length_at,
    span,
    timing_at,
)
from companion.backends.commands.plan_intents import (
    ABOUT,
    CONDITION,
    FORM_OF,
    GAP,
    HANDLER_OF,
    LEVELS,
    MOVES,
    TABLE,
)
from companion.backends.commands.scan import Item, Scanner, filler_at
from companion.backends.commands.sentence import (
    TARGETS,
    Arg,
    Clause,
    Level,
    Sentence,
    acts,
    targets_of,
)
from companion.backends.commands.tokens import Kind
from companion.backends.commands.words import wordset

NAME_BYTES = 24
PULSE_MS = 600_000
"""Bounds of the tools; the specs of the device are checked besides."""
_HELD_S = 86_400

_SCHEDULE, _RULE, _PULSE = "schedule_set", "rule_set", "gpio_pulse"
_TOOLS = frozenset((_SCHEDULE, _RULE, _PULSE))
_OTHERS = frozenset(
    ("schedule_list", "schedule_delete", "schedule_pause", "rule_list", "rule_delete",
     "rule_pause", "set_timezone", "set_place")
)  # fmt: skip

_ARE = wordset("am are")
_AT_ONCE = wordset("now immediately asap instant once away")
_ASKING = wordset("do does did is are was were will would can should")
_LEADS = wordset("when whenever if")
_HARD = frozenset((".", "!", "?", ";", "\n"))
_EDGE = frozenset(voc.WORDS["edge"])
_JOINING = wordset("and then & + plus or not but")
# Said with a time these ask about it as well as for it.
_ASKS = frozenset(
    (("will", "you"), ("can", "i"), ("may", "i"), ("could", "i"), ("might", "i"), ("can", "we"),
     ("could", "we"), ("it", "possible"), ("you", "able"), ("be", "able"))
)  # fmt: skip
_NO_NAME = wordset(
    "for of at in from to when if until unless tomorrow today tonight all every each any not "
    "except but or that this it which what please schedule schedules rule rules again by about"
)
_VERB: dict[Level, str] = {0: "off", 1: "on", "toggle": "flip"}

Run = Callable[[Sentence], int]
"""Does a sentence by the first table and returns how many clauses it had. Raises Declined."""


class Condition(NamedTuple):
    """What a rule waits for, as arguments of ``rule_set`` and as words for its name; ``first`` and
    ``end`` are its tokens. ``read`` is None for an event."""

    read: Arg | None
    cause: Json
    spoken: str
    input: bool
    first: int
    end: int


# --- whole sentences ---------------------------------------------------------------------------


def settle(s: Sentence, scanner: Scanner) -> bool:
    """A whole sentence about schedules, rules, the zone or the place. True when it was one."""
    if s.tools.isdisjoint(_OTHERS):
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


# --- commands with a time or a condition -------------------------------------------------------


def plan(s: Sentence, scanner: Scanner, run: Run) -> bool:
    """The calls of a text of which a sentence has a time or a condition; False when none has.
    Raises Declined."""
    if s.tools.isdisjoint(_TOOLS):
        return False
    words = [t.norm if t.kind != Kind.QUOTE else '"' for t in s.tokens]
    if not any(w in _LEADS or w in STARTS or w[0].isdigit() for w in words):
        return False
    parts = _sentences(words)
    if len(parts) > 8:
        return False
    parts = [(a, b) for a, b in parts if _fluff(words[:b], a, hard=True) < b]
    found = [_Part(s, scanner, run, words[:b], a) for a, b in parts]
    if not any(part.planned for part in found):
        first = _fluff(words, 0, hard=False)
        if (
            _RULE in s.tools
            and words[first : first + 1] in (["when"], ["whenever"], ["if"])
            and words[first + 1 : first + 2] not in ([w] for w in _ASKING)
            and "?" not in words
            and not any(w in voc.NEGATIONS or w.endswith("n't") for w in words)
        ):
            raise Declined("I make rules of a point that goes on or off: 'when the door opens, …'")
        return False
    planned: list[_Part] = []
    for part in found:
        # After "at 7 pm …" or "for 5 s …" a sentence may mean then, not now.
        if planned and not all(p.standing for p in (*planned, part)):
            raise Declined("I cannot tell when the last of that would be: say it by itself")
        part.do()
        if part.planned:
            planned.append(part)
    return True


def _sentences(words: Sequence[str]) -> list[tuple[int, int]]:
    """Where each sentence begins and ends, its full stop included. "P.m." has none."""
    out = []
    start = 0
    for i, word in enumerate(words):
        if word not in _HARD:
            continue
        if word == "." and (
            (words[i - 1 : i] in (["a"], ["p"]) and words[i + 1 : i + 2] == ["m"])
            or (words[i - 1 : i] == ["m"] and words[i - 2 : i - 1] == ["."] and i + 1 < len(words))
        ):
            continue
        if i + 1 < len(words) and words[i + 1] in _HARD:
            continue
        if any(w not in _HARD for w in words[start : i + 1]):
            out.append((start, i + 1))
        start = i + 1
    if start < len(words):
        out.append((start, len(words)))
    return out


class _Split(NamedTuple):
    """A phrase of time and the places of the tokens that it leaves to the command."""

    timing: Timing
    left: tuple[int, ...]


class _Part:
    """One sentence of a text: ``words[start:]``."""

    def __init__(
        self, s: Sentence, scanner: Scanner, run: Run, words: Sequence[str], start: int
    ) -> None:
        self._s, self._run, self._words = s, run, words
        self._all = tuple(range(start, len(words)))
        self._condition = self._find_condition(scanner, start) if _RULE in s.tools else None
        self._pieces: list[list[_Split]] = []
        if self._condition is not None:
            c = self._condition
            left = tuple(i for i in self._all if not c.first <= i < c.end)
            self._pieces = [[_Split(Timing(), left)]]
            if any(words[i] == "for" for i in left):
                inner = self._splits(left)
                if inner:
                    self._pieces = [inner]
        elif not s.tools.isdisjoint((_SCHEDULE, _PULSE)):
            splits = self._splits(self._all)
            self._pieces = self._several() or ([splits] if splits else [])
        self.planned = bool(self._pieces)
        timings = [split.timing for piece in self._pieces for split in piece]
        self.standing = self._condition is not None or (
            self.planned and all(t.plans() and t.in_ms is None for t in timings)
        )
        """A rule, or at times that do not count from when it is said."""

    def do(self) -> None:
        """Adds the calls to the sentence."""
        if not self.planned:
            inner = self._sentence(self._all)
            self._run(inner)
            self._s.calls.extend(inner.calls)
            self._take(inner)
            return
        words = [self._words[i] for i in self._all]
        for pair in pairwise(words):
            if pair in _ASKS:
                raise Declined(
                    f"'{' '.join(pair)}' with a time could be a question: say 'turn on …'"
                )
        for splits in self._pieces:
            self._piece(splits)

    def _piece(self, splits: Sequence[_Split]) -> None:
        good: list[tuple[Timing, Sentence]] = []
        why: Declined | None = None
        for split in splits:
            try:
                good.append((split.timing, self._command(split.left)))
            except Declined as declined:
                why = why or declined
        if len(good) != 1:
            raise why or Declined("I cannot tell which words say the time")
        timing, inner = good[0]
        if timing.plans() and any(t.norm in _AT_ONCE for t in inner.tokens):
            raise Declined("that says now and another time: say one of them")
        for call in inner.calls:
            _add(self._s, call.args["pin"], call.args["value"], timing, self._condition)
        self._take(inner)

    def _command(self, left: Sequence[int]) -> Sentence:
        """The command that the other words are. Raises Declined."""
        inner = self._sentence(left)
        plain = [self._words[i] for i in left if self._words[i] not in _HARD]
        if not any(w[:1].isalnum() or w == '"' for w in plain):
            raise Declined("say what to do then: 'at 7 pm turn on …'")
        if plain in (["on"], ["off"]) and left[0] > self._all[0] and self._s.last:
            # "… at 6 am and off at 8 am"
            it = "it" if len(self._s.last) == 1 else "them"
            said = inner.tokens[0]
            inner.tokens = [said._replace(norm=w) for w in ("turn", it)] + list(inner.tokens)
        if self._condition is not None:
            read = self._condition.read
            inner.last = [] if self._condition.input or read is None else [read]
        clauses = self._run(inner)
        if any(call.tool != "gpio_write" for call in inner.calls) or not inner.calls:
            raise Declined("I plan only switching on, off and over: say it by itself")
        if clauses != 1:
            raise Declined("I cannot tell which of these the time or the condition is for: say one")
        return inner

    def _sentence(self, left: Sequence[int]) -> Sentence:
        s = self._s
        inner = Sentence(s.text, [s.tokens[i] for i in left], s.lexicon, s.facts, tools=s.tools)
        inner.last, inner.level, inner.named = s.last, s.level, s.named
        inner.mode = s.mode if left and left[0] > self._all[0] else ""
        return inner

    def _take(self, inner: Sentence) -> None:
        s = self._s
        s.last, s.level, s.mode, s.named = inner.last, inner.level, inner.mode, inner.named

    # --- where the time is ------------------------------------------------------------------

    def _splits(self, places: tuple[int, ...]) -> list[_Split]:
        """The ways to take a phrase of time off the ends of ``places``: none, one, or two for
        "turn the heater on mondays …"."""
        words = [self._words[i] for i in places]
        n = len(words)
        begin = _fluff(words, 0, hard=False)
        timing, after = timing_at(words, begin)
        lead = after > begin
        while lead and after < n and words[after] == ",":
            after += 1
        if lead and after < n and words[after] in _JOINING:
            return []
        found: list[_Split] = []
        for i in range(after if lead else begin, n):
            word = words[i]
            if word not in STARTS and not word[0].isdigit():
                continue
            both, end = timing_at(words, i, timing if lead else None)
            if end == i or _fluff(words, end, hard=True) < n:
                continue
            if i > 0 and words[i - 1] in _JOINING:
                return []
            head = places[:begin] + places[after:i] if lead else places[:i]
            found.append(_Split(both, head + places[end:]))
            if word != "on":
                break
        if not found and lead:
            found = [_Split(timing, places[:begin] + places[after:])]
        return found

    def _several(self) -> list[list[_Split]]:
        """ "… at 07:00 and … at 08:00": each piece with its own time at its end."""
        pieces: list[list[_Split]] = []
        words, first = self._words, self._all[0]
        i = start = first
        while i < len(words):
            word = words[i]
            if word not in STARTS and not word[0].isdigit():
                i += 1
                continue
            timing, end = timing_at(words, i)
            if end == i:
                i += 1
                continue
            if i == start or words[i - 1] in _JOINING:
                return []
            over = _fluff(words, end, hard=True) == len(words)
            after = end
            while after < len(words) and words[after] == ",":
                after += 1
            if after < len(words) and words[after] == "and":
                after += 1
            if not over and after == end:
                i = end
                continue
            left = tuple(range(start, i)) + (tuple(range(end, len(words))) if over else ())
            pieces.append([_Split(timing, left)])
            if over:
                break
            i = start = after
        else:
            return []
        timings = [piece[0].timing for piece in pieces]
        if len(pieces) < 2 or any(t.in_ms is not None or t.every is not None for t in timings):
            return []  # the second "in 10 minutes" could count from the first
        # "… at 07:00 and … at 08:00 every day" may mean every day for both.
        same = {(t.plans(), t.days is None, t.part) for t in timings}
        return pieces if len(same) == 1 else []

    # --- conditions ---------------------------------------------------------------------------

    def _find_condition(self, scanner: Scanner, start: int) -> Condition | None:
        words = self._words
        if not any(w in _LEADS for w in words[start:]):
            return None
        s = self._s
        scanned = scanner.scan(s.tokens[: len(words)], start)
        leads = [p for p, item in enumerate(scanned.items) if item.payload in _LEADS]
        if len(leads) != 1:
            return None
        at = leads[0]
        event = event_at(s, words, scanned.items[at].first)
        m = CONDITION.match(scanned.codes, at)
        if event is not None:
            first, end = scanned.items[at].first, event.end
        elif m is not None:
            items = scanned.items[at : m.end()]
            form = FORM_OF[m.lastgroup or ""]
            first, end = items[0].first, items[-1].last + 1
        else:
            return None
        held, end = self._held(end)
        leading = _fluff(words, start, hard=False) >= first
        if not leading and _fluff(words, end, hard=True) < len(words):
            return None
        if event is not None:
            return self._of_event(event, held, start, first, end, leading)
        assert m is not None
        _check_form(form, str(items[0].payload), held, leading)
        source = Clause(m.group(), items, None, False, False)
        targets = targets_of(s, source, acting=False) or []
        if targets and s.lexicon.is_group(targets[0]):
            raise Declined(f"a rule watches one point, and '{targets[0]}' is a group: say which")
        level = _level(
            form, [i for c, i in zip(m.group(), items, strict=True) if c not in TARGETS], targets[0]
        )
        point = s.lexicon.exact(name_words(targets[0])) if isinstance(targets[0], str) else None
        is_input = isinstance(point, Point) and point.dir == "in"
        cause: Json = {"read": targets[0], "is": level}
        spoken = f"{_spoken(targets[0])} {level}"
        found = Condition(targets[0], cause, spoken, is_input, first, end)
        return self._joined(found, held, start, leading)

    def _of_event(
        self, event: EventCondition, held: int, start: int, first: int, end: int, leading: bool
    ) -> Condition | None:
        if held and not (event.lasts and leading):
            raise Declined("say 'when the event … is … for 5 minutes, …', of what can last")
        found = Condition(None, event.cause, event.spoken, False, first, end)
        return self._joined(found, held, start, leading)

    def _joined(self, c: Condition, held: int, start: int, leading: bool) -> Condition | None:
        """The condition with its time, unless more is joined to it than one command."""
        words, end = self._words, c.end
        if leading:
            while end < len(words) and words[end] in (",", "then"):
                end += 1
            if end < len(words) and words[end] in _JOINING - {"then"}:
                return None
        elif c.first > start and words[c.first - 1] in _JOINING:
            return None
        if held:
            spoken = f"{c.spoken} {span(held * 1000)}"
            c = c._replace(cause={**c.cause, "for_s": held}, spoken=spoken)
        return c._replace(end=end)

    def _held(self, end: int) -> tuple[int, int]:
        """Seconds of "for [more than] 5 minutes" at ``end``, 0 when there is none."""
        words = self._words
        if end >= len(words) or words[end] != "for":
            return 0, end
        at = end + 1
        if list(words[at : at + 2]) in (["more", "than"], ["longer", "than"], ["at", "least"]):
            at += 2
        length = length_at(words, at)
        if length is None:
            return 0, end
        seconds, rest = divmod(length[0], 1000)
        if rest or not 0 < seconds <= _HELD_S:
            raise Declined("a rule waits whole seconds, a day at most")
        return seconds, length[1]


def _check_form(form: str, lead: str, held: int, leading: bool) -> None:
    """Raises Declined for conditions that could be meant otherwise."""
    if lead == "if" and form in ("state", "been"):
        raise Declined("'if … is' may mean now: say 'when … goes on' for a rule, or ask")
    if form in ("hold", "been") and not held:
        raise Declined("say how long: 'when the door has been open for 5 minutes'")
    if held and form not in ("hold", "been", "state"):
        raise Declined("say 'when … has been on for …', so that it is plain what lasts so long")
    if held and form == "state" and not leading:
        raise Declined("say 'has been … for …', so that it is plain what lasts so long")


def _level(form: str, items: Sequence[Item], read: Arg) -> str:
    if form == "changes":
        return "changes"
    word = next(i.payload for i in items if isinstance(i.payload, str) and i.payload in LEVELS)
    if word in MOVES and (isinstance(read, int) or voc.CONTACTS & set(name_words(read))):
        raise Declined("open and close can mean either level here: say goes on or goes off")
    return LEVELS[word]


def _fluff(words: Sequence[str], i: int, hard: bool) -> int:
    """Where what changes nothing ends: politeness, commas and, at the end, full stops."""
    while i < len(words):
        word = words[i]
        filler = filler_at(words, i)
        if filler is not None:
            i += len(filler[0])
        elif word in _EDGE or word == "," or (hard and word in _HARD):
            i += 1
        else:
            break
    return i


# --- calls -------------------------------------------------------------------------------------


def _add(s: Sentence, pin: Arg, value: Level, timing: Timing, rule: Condition | None) -> None:
    """The calls of one switching at a time, for a time or on a condition."""
    args: Json = {"pin": pin, "value": value}
    tool = "gpio_write"
    what = f"{_spoken(pin)} {_VERB[value]}"
    if timing.for_ms is not None:
        if value != 1:
            raise Declined("only on can be for a time: what it was before is not known")
        several = s.lexicon.is_group(pin)
        if several and timing.for_ms % 1000:
            raise Declined("a group is on for whole seconds: a pulse is for one point")
        if timing.for_ms <= PULSE_MS and not several:
            tool, args = _PULSE, {"pin": pin, "ms": timing.for_ms}
        elif rule is not None or timing.plans():
            what = f"'{pin}', which is a group," if several else "over 10 minutes"
            raise Declined(f"on for {what} goes only at once: say two schedules, on and off")
    if rule is not None:
        if timing.plans():
            raise Declined("a rule acts at once: say only the condition")
        if (
            rule.read is not None
            and _gpio(s, rule.read) == _gpio(s, pin)
            and "for_s" not in rule.cause
        ):
            raise Declined(f"a rule of {_spoken(pin)} that switches {_spoken(pin)} may never rest")
        if (
            rule.read is not None
            and s.lexicon.is_group(pin)
            and not rule.input
            and "for_s" not in rule.cause
        ):
            raise Declined(f"{_spoken(rule.read)} may be one of {pin}: the rule might never rest")
        name = _name(s, rule.spoken, what)
        s.call(_RULE, {"name": name, **rule.cause, "tool": tool, "args": args})
    elif timing.plans():
        when = timing.when()
        more = {"runs": 1} if when.once else {}
        if _single(when.text, more) and any(
            call.tool == _SCHEDULE
            and _single(call.args["when"], call.args)
            and _gpio(s, call.args["args"]["pin"]) == _gpio(s, pin)
            for call in s.calls
        ):
            # Said between the two times, "on at 6, off at 8" would be off today, on tomorrow.
            raise Declined("on and off once could come in the wrong order: say 'every day at …'")
        name = _name(s, what, when.label)
        s.call(_SCHEDULE, {"name": name, "when": when.text, "tool": tool, "args": args, **more})
    elif tool == _PULSE:
        s.call(tool, args)
    else:
        assert timing.for_ms is not None  # a piece without any time is no piece
        off = {"pin": pin, "value": 0}
        # What ends it comes first: it is set or the receipt says why not.
        name = _name(s, f"{_spoken(pin)} off", "")
        s.call(
            _SCHEDULE,
            {"name": name, "when": f"in {span(timing.for_ms)}", "tool": tool, "args": off},
        )
        s.call(tool, args)


def _single(when: str, args: Json) -> bool:
    """Whether it is once, at a time of day."""
    return when.startswith("at ") or "runs" in args


def _gpio(s: Sentence, pin: Arg) -> Arg:
    point = s.lexicon.exact(name_words(pin)) if isinstance(pin, str) else None
    return pin if point is None else point.pin


def _spoken(pin: Arg) -> str:
    return f"pin {pin}" if isinstance(pin, int) else pin


def _name(s: Sentence, *parts: str) -> str:
    """A name from what was said, always the same: its words, or as many as there is room for
    and four digits of their digest."""
    whole = " ".join(" ".join(p for p in parts if p).lower().split())
    name = whole
    if len(whole.encode()) > NAME_BYTES:
        digest = hashlib.sha256(whole.encode()).hexdigest()[:4]
        name = parts[0].lower()
        while len(name.encode()) > NAME_BYTES - 5:
            name = name[:-1].rstrip()
        name = f"{name} {digest}"
    if any(c.args.get("name") == name for c in s.calls):
        raise Declined(f"that would be two plans called '{name}': say it in two sentences")
    return name


def stray(calls: Sequence[Call], facts: Mapping[str, str], tools: AbstractSet[str]) -> bool:
    """Whether a sentence about a schedule or a rule was taken for one about a fact."""
    return not tools.isdisjoint(_OTHERS) and any(
        c.tool == "memory_delete"
        and c.args["key"] not in facts
        and not _OF_PLANS.isdisjoint(c.args["key"].split())
        for c in calls
    )


_OF_PLANS = wordset("schedule schedules rule rules")
