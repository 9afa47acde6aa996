"""A sentence → calls, whole or not at all.

Clauses are taken one after the other from the beginning. A clause must match a row of the table
entirely, so that every word of the sentence has been understood before anything is called; the
first that does not makes the sentence declined, with the most useful reason that can be given.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress

from companion.backends.base import Call, Declined
from companion.backends.commands import (
    device,
    device_intents,
    facts,
    manner,
    memory,
    plan_intents,
    planned,
    standing,
)
from companion.backends.commands import vocabulary as voc
from companion.backends.commands.handlers import ACTING, HANDLERS
from companion.backends.commands.intents import (
    ASKED,
    GAP,
    HANDLER_OF,
    REMEMBER,
    TABLE,
    compiler,
)
from companion.backends.commands.lexicon import Lexicon
from companion.backends.commands.scan import Group, Scanned, Scanner
from companion.backends.commands.sentence import Clause, Sentence
from companion.backends.commands.templates import (
    BREAK,
    NUMBER,
    ODD,
    PIN,
    POINT,
    QUESTION,
    RUN,
    STOP,
)
from companion.backends.commands.times import CONDITIONS, find_when
from companion.backends.commands.tokens import Kind, Token, tokenize
from companion.backends.commands.words import wordset

TEXT_BYTES = 1024
"""The bound of a ``say`` in ``docs/protocol.md``."""
_MOST_TOKENS = 300
_MOST_SPLITS = 12
"""Places at which a remembered text is tried for a further command: more are no sentence."""

_SEPARATORS = frozenset((",", ";", ".", "!", "?", "\n", "and", "then", "&", "+", "plus", "\u2014"))
_HARD = frozenset((";", ".", "!", "?", "\n"))
_REMEMBER_WORDS = wordset("remember memorise note don't keep")
_RESTARTS = wordset("reboot restart")
_CLOSERS = wordset("that this it please thanks")
# Words with which a command begins, for finding one behind a fact.
_VERBS = (
    frozenset(voc.WORDS["turn"])
    | frozenset(voc.WORDS["on_verb"])
    | frozenset(voc.WORDS["off_verb"])
    | frozenset(voc.WORDS["flip"])
    | frozenset(voc.WORDS["drive"])
    | frozenset(voc.WORDS["fetch"])
    | wordset("open close shut call name label forget delete remove what which is are tell "
                "give how please could can would")
)  # fmt: skip


class Grammar:
    """The grammar with the names of one device. Pure: same text and facts, same calls."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self._scanner = Scanner(compiler.codes, lexicon)
        self._planning = Scanner(plan_intents.compiler.codes, lexicon)
        self._own = Scanner(device_intents.compiler.codes, lexicon)

    def parse(
        self, text: str, known: Mapping[str, str], tools: AbstractSet[str] = frozenset()
    ) -> tuple[Call, ...]:
        """The calls of ``text``, at least one and at most eight. Raises Declined. What takes a
        tool that not every device has is tried only for those in ``tools``."""
        if len(text) > TEXT_BYTES or len(text.encode("utf-8", "replace")) > TEXT_BYTES:
            raise Declined(f"that is over {TEXT_BYTES} bytes: say it shorter")
        tokens = tokenize(text)
        if len(tokens) > _MOST_TOKENS:
            raise Declined("that is too long for me: say it shorter")
        sentence = Sentence(text, tokens, self.lexicon, known, tools=tools)
        if (
            manner.settle(sentence)
            or standing.settle(sentence, self._planning)
            or device.settle(sentence, self._own)
        ):
            return tuple(sentence.calls)
        try:
            if not self._remembered_at_end(sentence):
                self._run(sentence)
            if not sentence.calls:
                raise Declined("there is no request in it")
        except Declined:
            again = Sentence(text, tokens, self.lexicon, known, tools=tools)
            if not planned.plan(again, self._planning, self._run):
                raise
            return tuple(again.calls)
        if standing.stray(sentence.calls, known, tools):
            raise Declined("say that about schedules and rules in a sentence by itself")
        return tuple(sentence.calls)

    def _run(self, sentence: Sentence) -> int:
        """Adds the calls of all clauses; returns how many clauses there were. Raises Declined."""
        parse = _Parse(self._scanner, sentence)
        parse.run(0, len(sentence.tokens))
        return parse.clauses

    def _remembered_at_end(self, s: Sentence) -> bool:
        """ "My favourite colour is blue, remember that." """
        words = [t.norm for t in s.tokens]
        at = len(words) - 1
        while at > 0 and (words[at] in _CLOSERS or words[at] in (".", "!")):
            at -= 1
        if at < 2 or words[at] not in ("remember", "note") or at == len(words) - 1:
            return False
        if words[at + 1] not in ("that", "this", "it"):
            return False
        end = at
        while end > 0 and (words[end - 1] in _SEPARATORS or words[end - 1] == "please"):
            end -= 1
        if end == at or end == 0:
            return False
        if words[0] in _REMEMBER_WORDS:
            return False
        attempt = Sentence(s.text, s.tokens, s.lexicon, s.facts)
        does = False
        with suppress(Declined):
            _Parse(self._scanner, attempt).run(0, end)
            does = True
        with suppress(Declined):
            part = Sentence(s.text, s.tokens[:end], s.lexicon, s.facts, tools=s.tools)
            does = does or planned.plan(part, self._planning, self._run)
        if does:
            raise Declined("I cannot tell whether to do or to remember that: say one of them")
        start = 0
        while start < end and words[start] in ("please", ",", "ok", "so", "hey", "hi"):
            start += 1
        memory.remember(s, s.tokens[start:end], s.tokens[start].start, s.tokens[end - 1].end)
        return True


class _Parse:
    """One sentence on its way. ``splits`` is the budget of ``_MOST_SPLITS``."""

    def __init__(self, scanner: Scanner, sentence: Sentence, splits: list[int] | None = None):
        self._scanner = scanner
        self._s = sentence
        self._splits = splits if splits is not None else [_MOST_SPLITS]
        self.clauses = 0

    def run(self, first: int, end: int) -> None:
        """Take the clauses of ``tokens[first:end]``. Raises Declined."""
        scanned = self._scanner.scan(self._s.tokens[:end], first)
        codes = scanned.codes
        at = begin = 0
        while True:
            gap = GAP.match(codes, at)
            assert gap is not None  # it may be empty
            if STOP in gap.group() or QUESTION in gap.group():
                self._s.mode, self._s.loose = "", False
                begin = gap.end()
            at = gap.end()
            if at == len(codes):
                return
            self.clauses += 1
            remember = REMEMBER.match(codes, at)
            if remember is not None and self._remember(scanned, at, remember.end(), end):
                return
            at = self._clause(scanned, begin, at)

    def _clause(self, scanned: Scanned, begin: int, at: int) -> int:
        """One clause from ``at``; returns where it ends. ``begin`` is where its sentence does."""
        codes = scanned.codes
        m = TABLE.match(codes, at)
        if m is None or m.end() == at:
            raise Declined(self._why(scanned, at))
        stop = codes.find(STOP, at)
        if stop < 0:
            stop = len(codes)
        polite = any(begin <= p <= stop for p in scanned.polite)
        row = m.lastgroup
        assert row is not None  # every row is a group
        handler = HANDLER_OF[row]
        clause = Clause(
            m.group(),
            scanned.items[at : m.end()],
            _slot(m, at) if handler in _WITH_SLOT else None,
            ASKED.match(codes, m.end()) is not None,
            polite,
        )
        try:
            HANDLERS[handler](self._s, clause)
        except Declined:
            later = self._time_or_not()
            if later is None:
                raise
            raise Declined(later) from None
        return m.end()

    # --- remembering -----------------------------------------------------------------------

    def _remember(self, scanned: Scanned, at: int, after: int, end: int) -> bool:
        """A fact goes on to the end of the sentence, whatever is in it. True when it was taken;
        False when it is a question ("do you remember my wifi name?")."""
        s = self._s
        start = scanned.items[after - 1].last + 1
        while start < end and s.tokens[start].norm in ("that", "this", ":", ",", "of"):
            start += 1
        stop, follows = self._fact_end(start, end)
        if any(t.norm in ("pin", "gpio") for t in s.tokens[start : start + 8]):
            # "remember that pin 5 is the kitchen light" gives a name.
            attempt = Sentence(s.text, s.tokens, s.lexicon, s.facts, s.calls.copy())
            self._splits[0] -= 1
            with suppress(Declined):
                _Parse(self._scanner, attempt, self._splits).run(start, stop)
                if all(c.tool == "point_set" for c in attempt.calls[len(s.calls) :]):
                    s.calls, s.last, s.named = attempt.calls, attempt.last, attempt.named
                    if follows is not None:
                        _Parse(self._scanner, s, self._splits).run(follows, end)
                    return True
        tokens = list(s.tokens[start:stop])
        question = bool(tokens) and tokens[-1].norm == "?"
        if question:
            tokens.pop()
            polite = any(p <= at for p in scanned.polite)
            if not facts.says_something(tokens):
                return False
            if not polite:
                raise Declined("that was a question: say it without the question mark")
        if not tokens:
            raise Declined("say what to remember: 'remember that my plants like mornings'")
        memory.remember(s, tokens, tokens[0].start, tokens[-1].end)
        if follows is not None:
            _Parse(self._scanner, s, self._splits).run(follows, end)
        return True

    def _fact_end(self, start: int, end: int) -> tuple[int, int | None]:
        """Where the fact that begins at ``start`` ends and where a command after it begins."""
        words = [t.norm for t in self._s.tokens[:end]]
        for i in range(start + 1, end):
            if words[i - 1] not in _SEPARATORS or words[i] in _SEPARATORS:
                continue
            hard = any(w in _HARD for w in _run_back(words, i))
            again = words[i] in _REMEMBER_WORDS
            if not (again or words[i] in _VERBS or words[i] in ("pin", "gpio")):
                continue
            self._splits[0] -= 1
            if self._splits[0] < 0:
                raise Declined("I cannot tell where that fact ends: say it by itself")
            attempt = Sentence(self._s.text, self._s.tokens, self._s.lexicon, self._s.facts)
            try:
                _Parse(self._scanner, attempt, self._splits).run(i, end)
            except Declined:
                if not self._commands(i, end):
                    continue
                if hard:
                    raise
            if not hard and not again:
                raise Declined("I cannot tell what to do from what to remember: say two sentences")
            back = i
            while words[back - 1] in _SEPARATORS:
                back -= 1
            # A full stop belongs to the fact as it was written, the joining word does not.
            return back, i
        return end, None

    def _commands(self, start: int, end: int) -> bool:
        """Whether what begins at ``start`` has the form of a command, whatever it names."""
        codes = self._scanner.scan(self._s.tokens[:end], start).codes
        m = TABLE.match(codes)
        return m is not None and HANDLER_OF[m.lastgroup or ""] in ACTING

    # --- reasons ---------------------------------------------------------------------------

    def _words(self) -> list[str]:
        return [t.norm if t.kind != Kind.QUOTE else '"' for t in self._s.tokens]

    def _time_or_not(self) -> str | None:
        """The reason that outweighs the others: a negation, a time, a condition."""
        words = self._words()
        for word in words:
            if word in voc.NEGATIONS or word.endswith("n't"):
                return f"I do only what is asked for plainly, and this has '{word}' in it"
        when = find_when(words)
        if when is None or (when[0] == 0 and words[0] in voc.ASKING):
            return None
        start, end = when
        tokens: list[Token] = list(self._s.tokens)
        spoken = self._s.text[tokens[start].start : tokens[end - 1].end]
        condition = words[start] in CONDITIONS
        timely = words[start] in ("until", "till", "after", "before")
        if condition and not timely and "rule_set" in self._s.tools:
            return f"I make no rule of '{spoken[:60]}': say 'when the door goes on, turn on …'"
        if (timely or not condition) and "schedule_set" in self._s.tools:
            return (
                f"I cannot plan '{spoken[:60]}' there: say one time, first or last, as 'at 07:00'"
            )
        what = "watches for" if condition else "does"
        return f"no tool of this device {what} '{spoken[:60]}'; nothing was done"

    def _why(self, scanned: Scanned, at: int) -> str:
        """Why no row matches the clause at ``at``: one plain sentence to act on."""
        plain = self._time_or_not()
        if plain is not None:
            return plain
        codes = scanned.codes
        end = next((i for i in range(at, len(codes)) if codes[i] in BREAK + STOP), len(codes))
        part = list(zip(codes[at:end], scanned.items[at:end], strict=True))
        for code, item in part:
            spoken = self._s.spoken(item.first, item.last)[:40]
            if code in (RUN, ODD) and self._unknown(item.payload):
                return f"I don't understand '{spoken}'"
        for code, item in part:
            if item.payload in ("pin", "pins", "gpio", "io"):
                return "say which pin, by number"
            if code == NUMBER and codes.find(PIN) < 0 and codes.find(POINT) < 0:
                return f"I don't know what {item.payload} is: a pin is called 'pin {item.payload}'"
        if any(item.payload == "or" for _, item in part):
            return "'or' leaves it open: say which one"
        if any(item.payload in voc.ASKING for _, item in part[:2]):
            return "I can tell what is on or off now, the time and what I was told; not that"
        if any(isinstance(item.payload, Group) or code in (PIN, POINT) for code, item in part):
            return "I don't know what to do there: say turn on, turn off, toggle or read"
        if "reboot" in self._s.tools and not _RESTARTS.isdisjoint(self._words()):
            return "a restart is said by itself and happens at once: 'reboot'"
        return "I know no such request"

    def _unknown(self, payload: object) -> bool:
        words = getattr(payload, "words", ())
        try:
            return not words or self._s.lexicon.find(words) is None
        except Declined:
            return False


_WITH_SLOT = wordset(
    "name name_in name_out name_the name_more rename_pin rename recall recall_own forget_fact "
    "forget"
)
_SLOTS = [name for name in TABLE.groupindex if name.startswith("n")]


def _slot(m: "re.Match[str]", at: int) -> tuple[int, int] | None:
    """Where among the clause's items its free slot is."""
    for name in _SLOTS:
        start, end = m.span(name)
        if start >= 0:
            return start - at, end - at
    return None


def _run_back(words: list[str], i: int) -> list[str]:
    """The separators right before ``i``."""
    j = i
    while j > 0 and words[j - 1] in _SEPARATORS:
        j -= 1
    return words[j:i]
