"""Sentences about the persona: the manner in which models talk on behalf of a device.

They are whole sentences with a few words, tried only where the device has the tools; so none of
their words ("friendly", "tone") has to mean anything anywhere else in the grammar.
"""

import re
from typing import Final

from companion.backends.base import Declined
from companion.backends.commands.scan import filler_at
from companion.backends.commands.sentence import Sentence
from companion.backends.commands.tokens import Kind
from companion.backends.commands.words import wordset

_MANNERS: Final = {
    "neutral": "neutral",
    "normal": "neutral",
    "friendly": "friendly",
    "friendlier": "friendly",
    "kind": "friendly",
    "technical": "technical",
    "precise": "technical",
    "witty": "witty",
    "wittier": "witty",
    "funny": "witty",
    "funnier": "witty",
}
_WORD: Final = r"(?:persona|personality|character|tone|manner|style)"
_ITS: Final = r"(?:your |the |a )?"
_MANNER: Final = rf"({'|'.join(_MANNERS)})"
_MORE: Final = r"(?:a bit |a little )?(?:more |very )?"
_SET: Final = re.compile(
    rf"(?:be|sound) {_MORE}{_MANNER}(?: to me| with me)?"
    rf"|(?:talk|speak|answer|reply)(?: to me| with me)? in {_ITS}{_MORE}{_MANNER} {_WORD}"
    rf"|(?:set|change|switch) {_ITS}{_WORD} to {_MANNER}"
    rf"|(?:use|take|put on|choose) {_ITS}{_MORE}{_MANNER} {_WORD}"
)
# A point may be called "tone": without "your", only these two words are about the device itself.
_OWN: Final = r"(?:(?:your |the )?(?:persona|personality)|your (?:character|tone|manner|style))"
_GET: Final = re.compile(
    rf"what is {_OWN}|(?:show|tell)(?: me)? {_OWN}|{_OWN}"
    r"|(?:what|which) (?:persona|personality) (?:do you have|have you|are you using|is set)"
)
_RESET: Final = re.compile(
    rf"(?:reset|clear|drop|forget) {_OWN}|be yourself(?: again)?"
    r"|(?:talk|speak|answer) normally(?: again)?"
)
_ABOUT: Final = frozenset(_MANNERS) | wordset(
    "persona personality character tone manner style yourself normally"
)


def settle(s: Sentence) -> bool:
    """A whole sentence about the persona. True when it was one. Raises Declined."""
    if "persona_set" not in s.tools:
        return False
    words = [t.norm if t.kind != Kind.QUOTE else '"' for t in s.tokens]
    if _ABOUT.isdisjoint(words):
        return False
    question = False
    while words and words[-1] in (".", "!", "?"):
        question = words.pop() == "?" or question
    kept: list[str] = []
    polite = False
    i = 0
    while i < len(words):
        filler = filler_at(words, i)
        if filler is not None:
            i += len(filler[0])
            polite = polite or filler[1]
            continue
        if words[i] != ",":
            kept.append(words[i])
        i += 1
    said = " ".join(kept)
    if _GET.fullmatch(said):
        s.call("persona_get", {})
        return True
    if _RESET.fullmatch(said):
        tool, args = "persona_reset", {}
    else:
        found = _SET.fullmatch(said)
        if found is None:
            return False
        manner = next(value for value in found.groups() if value)
        tool, args = "persona_set", {"persona": _MANNERS[manner]}
    if question and not polite:
        raise Declined("that was a question: say it without the question mark, or with 'please'")
    s.call(tool, args)
    return True
