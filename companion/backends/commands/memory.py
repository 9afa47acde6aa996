"""Handlers of facts: recall and forget, and the bounds of what is remembered."""

from collections.abc import Sequence
from itertools import pairwise

from companion.backends.base import Declined
from companion.backends.commands import facts
from companion.backends.commands import vocabulary as voc
from companion.backends.commands.naming import forget_name
from companion.backends.commands.sentence import TARGETS, Clause, Sentence, acts
from companion.backends.commands.templates import GROUP, PIN, QUOTED, RUN
from companion.backends.commands.times import find_when
from companion.backends.commands.tokens import Token
from companion.backends.commands.words import wordset

_DETERMINERS = frozenset(voc.WORDS["the"])
_AUXILIARY = wordset("do does did is are was were am have has can")
_TRIMMED = wordset("please thanks cheers ta")


def remember(s: Sentence, tokens: Sequence[Token], start: int, end: int) -> None:
    """``text[start:end]`` as it was written, under the key of ``tokens``. Raises Declined for
    what is no statement or over a bound."""
    tokens, end = _trimmed(s, tokens, end)
    value = s.text[start:end].strip()
    if not tokens or not value:
        raise Declined("say what to remember: 'remember that my plants like mornings'")
    if tokens[0].norm in ("to", "in", "at", "when", "if", "how", "me", "tomorrow", "every"):
        raise Declined("I remember facts; no tool of this device reminds you of a thing to do")
    if not facts.says_something(tokens):
        raise Declined(f"say what to remember about '{value[:40]}'")
    size = len(value.encode())
    if size > facts.VALUE_BYTES:
        raise Declined(f"that is {size} bytes; a fact holds {facts.VALUE_BYTES}: say it shorter")
    key = facts.key_of(tokens)
    if not key:
        raise Declined("I cannot tell what that fact is about: say 'remember that my … is …'")
    s.call("memory_set", {"key": key, "value": value})
    s.mode, s.last, s.loose = "other", [], False


def _trimmed(s: Sentence, tokens: Sequence[Token], end: int) -> tuple[Sequence[Token], int]:
    """Without the politeness at the end, unless it is what the fact says ("the word is
    please")."""
    tokens = list(tokens)
    while tokens and (
        tokens[-1].norm in _TRIMMED or [t.norm for t in tokens[-2:]] == ["thank", "you"]
    ):
        size = 1 if tokens[-1].norm in _TRIMMED else 2
        if len(tokens) > size and facts.is_verb(tokens[-size - 1].norm):
            break
        del tokens[-size:]
        while tokens and tokens[-1].norm == ",":
            tokens.pop()
        end = tokens[-1].end if tokens else 0
    return tokens, end


def recall_all(s: Sentence, c: Clause) -> None:
    s.call("memory_list", {})
    s.mode, s.last, s.loose = "other", [], False


def recall(s: Sentence, c: Clause) -> None:
    """Asked for by "remember" or "told": whatever it is about."""
    tokens = _slot(s, c)
    key = facts.key_of_phrase(tokens)
    if not key:
        raise Declined("say what about")
    _get(s, key)


def recall_own(s: Sentence, c: Clause) -> None:
    """A question like any other, so only about something of the person's own, or a fact that is
    known to be stored: the rest is not for the device's memory."""
    if c.slot is None or set(c.codes[c.slot[0] : c.slot[1]]) & TARGETS - {RUN, QUOTED}:
        raise Declined("I can read what is on or off now; ask 'is the heater on?'")
    tokens = list(_slot(s, c))
    words = [t.norm for t in tokens]
    after = s.tokens[c.items[-1].last + 1 :]
    states = c.items[0].payload == "when" and words[:1] and words[0] not in _AUXILIARY
    if states and after and after[0].norm in (",", "then"):
        raise Declined("that is a condition: I do things now")
    auxiliary = words[0] if words and words[0] in _AUXILIARY else ""
    if auxiliary:
        del tokens[0], words[0]
    if words and words[-1] == "again":
        del tokens[-1], words[-1]
    does = auxiliary in ("do", "does", "did")
    # "where do I live" has no thing that it asks about; the list holds the answer.
    if does and len(words) == 2 and words[0] in ("i", "we") and facts.is_verb(words[1]):
        recall_all(s, c)
        return
    key = facts.key_of_question(tokens) if does else facts.key_of_phrase(tokens)
    own = bool(words) and (
        words[0] in ("my", "our")
        or (not does and any(a == "of" and b in ("my", "our") for a, b in pairwise(words)))
    )
    # More words than a key holds are a question of another kind.
    own = own and len(facts.content_of(tokens)) <= facts.KEY_WORDS + does
    if not key or not (own or facts.stored_key(key, s.facts) in s.facts):
        raise Declined("that is no question about my pins, my memory or the time")
    _get(s, key)


def _get(s: Sentence, key: str) -> None:
    s.call("memory_get", {"key": facts.stored_key(key, s.facts)})
    s.mode, s.last, s.loose = "other", [], False


def forget_all(s: Sentence, c: Clause) -> None:
    raise Declined("I forget one thing at a time, not everything: say which")


def forget_fact(s: Sentence, c: Clause) -> None:
    acts(c)
    tokens = _slot(s, c)
    key = facts.key_of(tokens) if facts.says_something(tokens) else facts.key_of_phrase(tokens)
    if not key:
        raise Declined("say what to forget")
    s.call("memory_delete", {"key": facts.stored_key(key, s.facts)})
    s.mode, s.last, s.loose = "other", [], False


def forget(s: Sentence, c: Clause) -> None:
    """A name or a fact, whichever there is; both is a refusal."""
    acts(c)
    if c.slot is None:
        raise Declined("say what to forget")
    codes = c.codes[c.slot[0] : c.slot[1]]
    if GROUP in codes:
        forget_all(s, c)
    if PIN in codes:
        said = [i for i in c.items[slice(*c.slot)] if i.payload not in _DETERMINERS]
        if len(said) != 1:  # "forget the pump if pin 4 …"
            raise Declined("say which name to forget, and nothing else")
        forget_name(s, c)
        return
    tokens = list(_slot(s, c))
    lead = tokens[0].norm
    if lead == "to" or (lead in ("it", "that", "this", "them") and len(tokens) == 1):
        raise Declined("say what to forget")
    if lead == "that":
        forget_fact(s, c)
        return
    while len(tokens) > 1 and tokens[0].norm in _DETERMINERS:
        del tokens[0]
    words = [t.norm for t in tokens]
    if find_when(words) is not None or len(facts.content_of(tokens)) > facts.KEY_WORDS:
        raise Declined("say what to forget in a few words, or 'forget that …' with the whole fact")
    point = s.lexicon.exact(words)
    key = facts.stored_key(facts.key_of_phrase(tokens), s.facts)
    if point is not None and key in s.facts:
        raise Declined(
            f"'{point.name}' is a point and a fact: say 'forget the point {point.name}' or "
            f"'forget the fact {key}'"
        )
    if point is not None:
        s.call("point_delete", {"name": point.name})
        s.mode, s.last, s.loose = "other", [], False
        return
    if key not in s.facts:
        near = s.lexicon.find(words)
        if near is not None:
            raise Declined(f"to delete a name say all of it: '{near.name}'")
        if c.items[0].payload != "forget":
            raise Declined(f"I don't know what '{' '.join(words)[:40]}' is: say 'forget …'")
    forget_fact(s, c)


def _slot(s: Sentence, c: Clause) -> Sequence[Token]:
    if c.slot is None:
        return ()
    start, end = c.slot
    return s.tokens[c.items[start].first : c.items[end - 1].last + 1]
