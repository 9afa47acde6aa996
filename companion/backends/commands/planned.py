"""Sentences about another time: schedules, pulses and rules to be made.

A sentence with a time is its phrase of time, at its beginning or its end, and a command that the
first table understands by itself; a rule is a condition and a command. The command must be one
clause that only switches, so that there is no doubt about what the time belongs to. Nothing here
is tried unless the device has the tools.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from companion.backends.base import Declined, Json, Point
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
from companion.backends.commands.plan_calls import PULSE, RULE, SCHEDULE, Condition, add, spoken_pin
from companion.backends.commands.plan_intents import (
    CONDITION,
    FORM_OF,
    LEVELS,
    MOVES,
)
from companion.backends.commands.scan import Item, Scanner, filler_at
from companion.backends.commands.sentence import (
    TARGETS,
    Arg,
    Clause,
    Sentence,
    targets_of,
)
from companion.backends.commands.tokens import Kind
from companion.backends.commands.words import wordset

_HELD_S = 86_400
_TOOLS = frozenset((SCHEDULE, RULE, PULSE))

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

Run = Callable[[Sentence], int]
"""Does a sentence by the first table and returns how many clauses it had. Raises Declined."""


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
            RULE in s.tools
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
        self._condition = self._find_condition(scanner, start) if RULE in s.tools else None
        self._pieces: list[list[_Split]] = []
        if self._condition is not None:
            c = self._condition
            left = tuple(i for i in self._all if not c.first <= i < c.end)
            self._pieces = [[_Split(Timing(), left)]]
            if any(words[i] == "for" for i in left):
                inner = self._splits(left)
                if inner:
                    self._pieces = [inner]
        elif not s.tools.isdisjoint((SCHEDULE, PULSE)):
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
            add(self._s, call.args["pin"], call.args["value"], timing, self._condition)
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
        spoken = f"{spoken_pin(targets[0])} {level}"
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
