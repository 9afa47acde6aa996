"""Tokens → coded items, the form in which templates match.

One pass, left to right. At each place the first of these that fits wins: a whole name of the
device's own, a phrase of politeness, a pin by number, a group ("all lights"), a word of the
grammar, a number, a run of words that the grammar does not know.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from companion.backends.base import Point
from companion.backends.commands import vocabulary as voc
from companion.backends.commands.lexicon import Lexicon, canon
from companion.backends.commands.numbers import integer_at
from companion.backends.commands.templates import (
    BREAK,
    GROUP,
    NUMBER,
    ODD,
    PIN,
    POINT,
    QUESTION,
    QUOTED,
    RUN,
    STOP,
)
from companion.backends.commands.tokens import DASH, Kind, Token

_MOST_PINS = 64
"""A range is written out; no chip has more pins."""


class Group(NamedTuple):
    """Several points at once: ``words`` that their names hold, or a ``kind``: "all", "out",
    "in", or "pins", which also means pins without a name."""

    quantifier: str
    kind: str
    words: tuple[str, ...]


class Run(NamedTuple):
    """Words that the grammar does not know: perhaps a point."""

    words: tuple[str, ...]


Payload = int | Point | Group | Run | str | None


_Put = Callable[[str, Payload, int, int], None]
"""Adds an item: code, payload, first and last token."""


class Item(NamedTuple):
    """``payload`` by code: a pin or a number its value, a point, a group, a run, or the word.
    ``first`` and ``last`` are token indices, the last one included."""

    payload: Payload
    first: int
    last: int


@dataclass(slots=True)
class Scanned:
    """``codes[i]`` is the code of ``items[i]``. ``polite`` holds the places among the items
    where politeness was left out."""

    codes: str
    items: list[Item]
    polite: list[int] = field(default_factory=list)


_FIRST_FILLER: dict[str, list[tuple[tuple[str, ...], bool]]] = {}
for _phrase, _polite in voc.FILLERS.items():
    _FIRST_FILLER.setdefault(_phrase[0], []).append((_phrase, _polite))
for _list in _FIRST_FILLER.values():
    _list.sort(key=lambda entry: -len(entry[0]))

_CLOSED = (
    frozenset(voc.WORDS["stop"])
    | frozenset(voc.WORDS["onoff"])
    | frozenset(voc.WORDS["logic"])
    | frozenset(voc.WORDS["be"])
    | frozenset(voc.WORDS["the"])
    | frozenset(voc.WORDS["it"])
    | frozenset(("and", "that", "if", "whether"))
)
_READING = frozenset(voc.WORDS["reading"])
_DETERMINERS = frozenset(voc.WORDS["the"])
_GLUE = frozenset(("in", "of", "by", "near", "at"))
_HEADS = frozenset(("pin", "pins", "gpio", "io"))
_NUMBER_MARKS = frozenset(("number", "no", "num", "nr", "#"))
_SOFT = {",": BREAK, "&": BREAK, "+": BREAK, DASH: BREAK, "and": BREAK, "then": BREAK,
         "plus": BREAK}  # fmt: skip
_JOIN_FIRST = frozenset(phrase[0] for phrase in voc.JOINING)
_HARD = frozenset((".", ";", "!", "\n"))


class Scanner:
    """Knows the words of the grammar (``codes``, see ``templates``) and one lexicon."""

    def __init__(self, codes: Mapping[str, str], lexicon: Lexicon) -> None:
        self._codes = codes
        self._lexicon = lexicon
        self._words = lexicon.words
        # Names that cannot be told from commands are left to quotation marks.
        self._names = {
            first: kept
            for first, names in lexicon.first.items()
            if (kept := [entry for entry in names if not _reserved(entry[0])])
        }

    def scan(self, tokens: Sequence[Token], i: int = 0) -> Scanned:
        """The items of ``tokens[i:]``. Never raises: what it does not know becomes RUN or ODD."""
        words = [t.norm if t.kind != Kind.QUOTE else '"' for t in tokens]
        out = Scanned("", [])
        codes: list[str] = []
        items = out.items
        n = len(tokens)

        def put(code: str, payload: Payload, first: int, last: int) -> None:
            codes.append(code)
            items.append(Item(payload, first, last))

        while i < n:
            word = words[i]
            named = self._name_at(words, i)
            if named is not None:
                point, j = named
                if not self._goes_on(words, j):
                    put(POINT, point, i, j - 1)
                    i = j
                    continue
                j = self._run_end(words, j)
                put(RUN, Run(tuple(words[i:j])), i, j - 1)
                i = j
                continue
            kind = tokens[i].kind
            if kind == Kind.QUOTE:
                put(QUOTED, tokens[i].norm, i, i)
                i += 1
                continue
            if kind == Kind.PUNCT:
                self._sign(word, i, put)
                i += 1
                continue
            joined = _joining_at(words, i)
            if joined > i:
                put(BREAK, None, i, joined - 1)
                i = joined
                continue
            filler = filler_at(words, i)
            if filler is not None:
                phrase, polite = filler
                i += len(phrase)
                if polite:
                    out.polite.append(len(items))
                if phrase in voc.GERUND_AFTER and i < n:
                    words[i] = voc.GERUNDS.get(words[i], words[i])
                continue
            if word in _HEADS:
                j = self._pins(words, i, put)
                if j > i:
                    i = j
                    continue
            elif word in voc.QUANTIFIERS:
                j = self._group(words, i, put)
                if j > i:
                    i = j
                    continue
            if word in _SOFT:
                put(BREAK, None, i, i)
                i += 1
                continue
            code = self._codes.get(word)
            if code is not None and not self._is_noun(words, i, codes):
                put(code, word, i, i)
                i += 1
                continue
            if code is None or kind == Kind.NUMBER:
                number = integer_at(words, i)
                if number is not None:
                    put(NUMBER, number[0], i, number[1] - 1)
                    i = number[1]
                    continue
                if kind == Kind.NUMBER:
                    put(ODD, word, i, i)
                    i += 1
                    continue
            j = self._run_end(words, i + 1)
            put(RUN, Run(tuple(words[i:j])), i, j - 1)
            i = j
        out.codes = "".join(codes)
        return out

    def _sign(self, sign: str, i: int, put: _Put) -> None:
        if sign == "?":
            put(QUESTION, sign, i, i)
            put(STOP, None, i, i)
        elif sign in _HARD:
            put(STOP, None, i, i)
        elif sign in _SOFT:
            put(BREAK, None, i, i)
        else:
            put(self._codes.get(sign, ODD), sign, i, i)

    def _name_at(self, words: Sequence[str], i: int) -> tuple[Point, int] | None:
        for name, point in self._names.get(words[i], ()):
            j = i + len(name)
            if len(name) == 1 or tuple(words[i:j]) == name:
                return point, j
        return None

    def _goes_on(self, words: Sequence[str], j: int) -> bool:
        """Whether the words after a whole name belong to a longer one."""
        if j >= len(words):
            return False
        word = words[j]
        if word in _CLOSED or not word[0].isalnum():
            return word in _GLUE and self._glued(words, j)
        return canon(word) in self._words or (
            word not in self._codes
            and word not in _SOFT
            and word not in _FIRST_FILLER
            and not word[0].isdigit()
        )

    def _is_noun(self, words: Sequence[str], i: int, codes: Sequence[str]) -> bool:
        """Whether a word of the grammar stands for a part of a name here: "turn off the switch",
        "light off". At the beginning of a clause it is a verb."""
        word = words[i]
        if word in _CLOSED or canon(word) not in self._words:
            return False
        following = words[i + 1] if i + 1 < len(words) else ""
        if word in _READING:
            return canon(following) in self._words if following else False
        if codes and codes[-1] not in (BREAK, STOP):
            return True
        # "switch off" is a verb in "switch off the lamp" and may be a point by itself.
        after = words[i + 2] if i + 2 < len(words) else "."
        return following in voc.LEVELS and (
            not after[0].isalnum() or after in _SOFT or after in _FIRST_FILLER
        )

    def _run_end(self, words: Sequence[str], j: int) -> int:
        """Where a run of unknown words that began before ``j`` ends."""
        while j < len(words):
            word = words[j]
            if word in _GLUE and self._glued(words, j):
                j += 1
                while words[j] in _DETERMINERS:
                    j += 1
                continue
            if word in _CLOSED or word in _SOFT or not word[0].isalnum():
                # The possessive of a name that holds one ("cat's lamp").
                if word == "'s" and j + 1 < len(words) and "'s" in self._words:
                    j += 1
                    continue
                break
            if canon(word) not in self._words and (
                word in self._codes or word in _FIRST_FILLER or integer_at(words, j) is not None
            ):
                break
            j += 1
        return j

    def _glued(self, words: Sequence[str], j: int) -> bool:
        """Whether "in the", "of the" at ``j`` leads on to a part of a name."""
        k = j + 1
        while k < len(words) and words[k] in _DETERMINERS:
            k += 1
        return k < len(words) and words[k] not in _CLOSED and canon(words[k]) in self._words

    def _group(self, words: Sequence[str], i: int, put: _Put) -> int:
        """ "everything", "all lights", "every one of my lamps"; "both" before a list means
        nothing."""
        quantifier = words[i]
        n = len(words)
        if quantifier in ("everything", "anything"):
            put(GROUP, Group(quantifier, "all", ()), i, i)
            return i + 1
        j = i + 1
        if j + 1 < n and words[j] == "one" and words[j + 1] == "of":
            j += 2
        elif j < n and words[j] == "of":
            j += 1
        while j < n and words[j] in _DETERMINERS:
            j += 1
        if j < n and words[j] == "named":
            j += 1
        if j < n and words[j] in voc.FACTS:
            return i
        kind = voc.KINDS.get(words[j]) if j < n else None
        if kind is not None:
            if integer_at(words, j + 1) is not None:
                return i + 1 if quantifier == "both" else i
            put(GROUP, Group(quantifier, kind, ()), i, j)
            return j + 1
        end = j
        if j < n and words[j][0].isalnum() and words[j] not in _CLOSED and words[j] not in _SOFT:
            lone = words[j] in _FIRST_FILLER and canon(words[j]) not in self._words
            end = j if lone else self._run_end(words, j)
        if quantifier == "both" and (end == j or (end < n and words[end] in ("and", "&"))):
            return i + 1
        if end == j:
            if j > i + 1 or quantifier != "all":
                return i
            put(GROUP, Group(quantifier, "all", ()), i, i)
            return i + 1
        put(GROUP, Group(quantifier, "", tuple(words[j:end])), i, end - 1)
        return end

    def _pins(self, words: Sequence[str], i: int, put: _Put) -> int:
        """ "pin 5", "gpio number five", "pins 5, 6 and 7", "pins 4-7". Returns ``i`` when no
        number follows."""
        j = _head_end(words, i)
        number = integer_at(words, j) if j > i else None
        if number is None:
            return i
        plural = "pins" in words[i:j]
        pin, end = number
        put(PIN, pin, i, end - 1)
        while end < len(words):
            if plural and words[end] in ("-", "to", "through", "thru"):
                last = integer_at(words, end + 1)
                if last is not None and pin < last[0] <= pin + _MOST_PINS:
                    for between in range(pin + 1, last[0] + 1):
                        put(BREAK, None, end, end)
                        put(PIN, between, end + 1, last[1] - 1)
                    pin, end = last
                    continue
            k = end
            while k < len(words) and words[k] in ("and", ",", "&", "+"):
                k += 1
            if k == end or k >= len(words) or (words[k] in _HEADS):
                break
            number = integer_at(words, k)
            if number is None or not _ends(words, number[1], plural):
                break
            put(BREAK, None, end, k - 1)
            pin, end = number
            put(PIN, pin, k, end - 1)
        return end


def _head_end(words: Sequence[str], i: int) -> int:
    j = i
    while j < len(words) and words[j] in _HEADS:
        j += 1
    if j < len(words) and words[j] in _NUMBER_MARKS:
        dotted = words[j] in ("no", "nr") and j + 1 < len(words) and words[j + 1] == "."
        j += 2 if dotted else 1
    return j


def _ends(words: Sequence[str], j: int, plural: bool) -> bool:
    """Whether a number in a list of pins is over at ``j``: not so before a unit."""
    if j >= len(words):
        return True
    word = words[j]
    return (
        word in ("and", ",", "&", "+", ".", ";", "!", "?", "\n", "then", "please", "to", "=")
        or word in voc.LEVELS
        or word in _FIRST_FILLER
        or word in ("is", "are", "thanks", "too")
        or (plural and word in ("-", "through", "thru"))
    )


def filler_at(words: Sequence[str], i: int) -> tuple[tuple[str, ...], bool] | None:
    """The phrase of politeness at ``i`` and whether it asks politely."""
    for phrase, polite in _FIRST_FILLER.get(words[i], ()):
        j = i + len(phrase)
        if len(phrase) > 1 and tuple(words[i:j]) != phrase:
            continue
        # "if you can" is polite by itself and a condition when more follows.
        if phrase[0] in ("if", "when") and j < len(words) and words[j][0].isalnum():
            continue
        return phrase, polite
    return None


def _joining_at(words: Sequence[str], i: int) -> int:
    if words[i] not in _JOIN_FIRST:
        return i
    for phrase in voc.JOINING:
        if tuple(words[i : i + len(phrase)]) == phrase:
            return i + len(phrase)
    return i


def _reserved(name: Sequence[str]) -> bool:
    """Whether a name is made of words that commands are made of, or reads as a pin."""
    if all(w in voc.RESERVED for w in name):
        return True
    j = _head_end(name, 0)
    number = integer_at(name, j) if j > 0 or len(name) == 1 else None
    return number is not None and number[1] == len(name)
