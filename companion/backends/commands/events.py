"""Conditions on MQTT events: "the event doorbell arrives", "event temperature is above 22.5".

An event is what somebody publishes on ``gn/<device>/down/event/<name>`` (docs/automation.md). Its
name is any word or three, so the word "event" has to be said.
"""

from collections.abc import Sequence
from typing import NamedTuple

from companion.backends.base import Declined, Json
from companion.backends.commands import vocabulary as voc
from companion.backends.commands.numbers import number_at
from companion.backends.commands.phrases import length_at, span
from companion.backends.commands.sentence import Sentence
from companion.backends.commands.times import CONDITIONS
from companion.backends.commands.tokens import Kind
from companion.backends.commands.words import wordset

_NAME_BYTES = 24
_NAME_WORDS = 3
_TEXT_BYTES = 32
_HELD_S = 86_400

_THE = wordset("the an a my our")
_COMES = (
    ("is", "sent"), ("is", "received"), ("is", "published"), ("comes", "in"), ("arrives",),
    ("comes",), ("happens",), ("occurs",), ("fires",),
)  # fmt: skip
_BECOMES = wordset("is goes gets turns comes rises falls drops climbs becomes says equals")
_MORE = (("above",), ("over",), ("more", "than"), ("greater", "than"), ("higher", "than"))
_LESS = (("below",), ("under",), ("less", "than"), ("lower", "than"))
_SAME = (("equal", "to"), ("exactly",))
_UNITS = wordset("degree degrees celsius fahrenheit percent % c")
# What ends a name, or cannot be one.
_NO_NAME = (
    wordset(
        "changes of for from to when if or and but not any each every is has turn turns switch set "
        "toggle on off i it this that"
    )
    | CONDITIONS
    | _BECOMES
    | {word for form in _COMES for word in form}
)


class EventCondition(NamedTuple):
    """``cause``: arguments of ``rule_set``. ``spoken``: for the rule's name. ``end``: the token
    behind it. ``lasts``: whether it can be so for a time."""

    cause: Json
    spoken: str
    end: int
    lasts: bool


def event_at(s: Sentence, words: Sequence[str], i: int) -> EventCondition | None:
    """The condition behind "when" at ``i``; None where none is of an event. Raises Declined."""
    at = i + 1
    if _word(words, at) in _THE:
        at += 1
    if _word(words, at) == "event":
        first = at + 1
        end = _name_end(words, first)
        after = end
    else:
        first = at
        end = _name_end(words, first)
        if end == first or _word(words, end) != "event":
            return None
        after = end + 1
    if end == first:
        return None
    event = _name(s, first, end)
    found = _said(s, words, after)
    if found is None:
        raise Declined(
            "of an event I understand 'arrives', 'is above 5', 'is on' and 'is \"text\"'"
        )
    cause, spoken, end, lasts = found
    return EventCondition({"event": event, **cause}, f"{event} {spoken}", end, lasts)


def _name_end(words: Sequence[str], first: int) -> int:
    if _word(words, first) == '"':
        return first + 1
    end = first
    while end - first < _NAME_WORDS and end < len(words):
        word = words[end]
        if word in _NO_NAME or word in voc.NEGATIONS or word.endswith("n't"):
            break
        if word == "event" or not word[0].isalnum():
            break
        end += 1
    return end


def _name(s: Sentence, first: int, end: int) -> str:
    """As the device keeps it: small letters, a dash for each space."""
    token = s.tokens[first]
    said = token.norm if token.kind == Kind.QUOTE else s.spoken(first, end - 1)
    name = "-".join(said.lower().split())
    if not name or len(name.encode()) > _NAME_BYTES or not set("/+#").isdisjoint(name):
        raise Declined(f"an event's name has 1 to {_NAME_BYTES} bytes and no / + #")
    return name


def _said(s: Sentence, words: Sequence[str], i: int) -> tuple[Json, str, int, bool] | None:
    """What is said of an event: (arguments, words for a name, end, can it last)."""
    for form in _COMES:
        if tuple(words[i : i + len(form)]) == form and not _is_number(words, i + len(form)):
            return {"is": "arrives"}, "arrives", i + len(form), False
    if _word(words, i) == "changes":
        return {"is": "changes"}, "changes", i + 1, False
    if _word(words, i) not in _BECOMES:
        return None
    i += 1
    level = _word(words, i)
    if words[i - 1] == "goes" and level == "off":
        raise Declined("an alarm that goes off is on: say 'is off', 'is on' or 'arrives'")
    if level in ("on", "off"):
        return {"is": level}, level, i + 1, True
    if level == "silent" and _word(words, i + 1) == "for":
        length = length_at(words, i + 2)
        if length is None or length[0] % 1000 or length[0] > _HELD_S * 1000:
            raise Declined("say for how long: 'when the event pump is silent for 5 minutes'")
        seconds = length[0] // 1000
        return {"is": "silent", "value": seconds}, f"silent {span(length[0])}", length[1], False
    quoted = i < len(words) and s.tokens[i].kind == Kind.QUOTE
    if quoted:
        text = s.tokens[i].norm.strip().lower()
        if not 0 < len(text.encode()) <= _TEXT_BYTES:
            raise Declined(f"a rule compares texts of 1 to {_TEXT_BYTES} bytes")
        return {"is": "equals", "text": text}, text, i + 1, True
    kind = "equals"
    for name, forms in (("above", _MORE), ("below", _LESS), ("equals", _SAME)):
        for form in forms:
            if tuple(words[i : i + len(form)]) == form:
                kind, i = name, i + len(form)
                break
    minus = _word(words, i) in ("-", "minus")
    number = number_at(words, i + minus)
    if number is None:
        return None
    value, end = number
    value = -value if minus else value
    if _word(words, end) == "°":
        end += 1
    if _word(words, end) in _UNITS:
        end += 1
    shown = f"{value:g}"
    whole = int(value) if value == int(value) else value
    return {"is": kind, "value": whole}, f"{kind} {shown}", end, True


def _is_number(words: Sequence[str], i: int) -> bool:
    return number_at(words, i) is not None


def _word(words: Sequence[str], i: int) -> str:
    return words[i] if 0 <= i < len(words) else ""
